"""Tells by its name and first bytes whether a file is hidden, an image in a supported or other format, or no image.

A file whose name has the ending of a supported format is a candidate for an image; prep checks the file later, when it
decodes it. For other files the first bytes decide, so a JPEG is recognized whatever its name.
"""

import re

from headrace.prep.sources.files import NOT_AN_IMAGE, OTHER_KIND

START = 32  # bytes that identify a file
ENDINGS = frozenset(
    (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"),
        *("jp2", "j2k", "jpf", "jpx", "gif", "avif", "heic", "heif", "hif"),
    )
)

# Formats that no decoder here reads, or that one would misread: raw photographs look like TIFFs of their thumbnails.
_RAW = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
_OTHERS = (
    "ai bpg dcm dds djvu emf eps exr fits hdr icns ico jbig2 jxl jxr pam pcx psb psd qoi svg svgz tga wdp wmf xcf xpm"
)
_RAW_ENDINGS, _OTHER_ENDINGS = frozenset(_RAW.split()), frozenset(_OTHERS.split())

_HEIF = rb"....ftyp(avif|avis|hei[cxms]|hev[cxms]|mif[12]|msf1)"
_READ = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|(II\*\0|MM\0\*)(?!....CR)|P[1-6]\s+(\d+\s+\d+\s|#)"
    rb"|BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0"
    rb"|" + _HEIF,
    re.DOTALL,
)
_NOT_READ = re.compile(
    rb"(II\*\0|MM\0\*)....CR|IIRO|IIRS|MMOR|IIU\0|II\+\0|MM\0\+|II\xbc|FUJIFILMCCD-RAW|FOVb|....ftypcrx |8BPS\0|qoif"
    rb"|\0\0\0\x0cJXL \r\n\x87\n|%!PS-Adobe-[\d.]+ EPSF|\xc5\xd0\xd3\xc6"
    rb"|\0\0[\1\2]\0[\1-\xff]\0|\x76\x2f\x31\x01|#\?RADIANCE|DDS |AT&TFORM|icns"
    rb"|gimp xcf|BPG\xfb|P7\n|SIMPLE  =|<svg",
    re.DOTALL,
)
_HIDDEN = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "__pycache__", "$recycle.bin")
)


def has_image_ending(path: str) -> bool:
    """Whether the file is a candidate because its name has the ending of an image format, such as .jpg."""
    dot = path.rfind(".")  # a name that begins with a dot is a hidden file
    return dot >= 0 and path[dot + 1 :].lower() in ENDINGS


def ending(path: str) -> str:
    """The part of the file's name after the last dot, in lower case; "" if there is none."""
    name, dot, last = path.rsplit("/", 1)[-1].rpartition(".")
    return last.lower() if dot and name else ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder with this name is hidden, or made by a program for itself, such as Thumbs.db."""
    return (name.startswith(".") and name not in {".", ".."}) or name.lower() in _HIDDEN


def why_not_read(path: str, start: bytes) -> str:
    """The reason why a file with these first bytes is not a candidate for an image; "" for a candidate."""
    raw = ending(path) in _RAW_ENDINGS
    if _READ.match(start) and not raw:
        return ""
    return OTHER_KIND if raw or ending(path) in _OTHER_ENDINGS or _NOT_READ.match(start) else NOT_AN_IMAGE
