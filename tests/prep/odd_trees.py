"""Trees of images as users have them, drawn from a seed: odd names, formats, layouts, links and stray files."""

import io
import os
import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tests.prep.contents import as_folder
from tests.prep.damage import tree

SAVED = {  # by Pillow's names
    "PNG": ("png",),
    "WEBP": ("webp",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "PPM": ("ppm", "pnm"),
    "GIF": ("gif",),
    "JPEG2000": ("jp2",),
    "AVIF": ("avif",),
}
NO_IMAGES = {
    "notes.txt": b"cats and dogs\n",
    "labels.csv": b"file,label\n",
    "README": b"# Photographs\n",
    "clip.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2mp41" + bytes(40),
    "empty": b"",
    "BMW.txt": b"BM is how the name of a car begins, and not a bitmap.\n",
    "P1 notes": b"P1 is how this text begins, and not a bitmap either.\n",
}
OTHER_KINDS = {
    "layers.psd": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\1\0\0\0\1\0\x08\0\3",
    "icon.ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0" + bytes(60),
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>\n',
    "DSC_1.NEF": b"II*\0\x08\0\0\0" + bytes(64),
}
HIDDEN = (".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r", "._1.jpg", ".hidden.jpg")
HIDDEN_FOLDERS = ("__MACOSX", "@eaDir", ".git", "__pycache__")
CLASSES = ("ant", "Bee", "cat 2", "été", "007", "a.b")


@cache
def jpegs() -> list[bytes]:
    """Some sound photographs."""
    return list(tree().values())


@cache
def saved(form: str) -> bytes:
    """A picture in one of Pillow's formats."""
    out = io.BytesIO()
    pixels = np.arange(24 * 16 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 24, 3)
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def picture(chance: random.Random, number: int) -> tuple[str, bytes]:
    """The name and the bytes of an image; its extension may be wrong, in capitals, unknown or missing."""
    form = chance.choice(("JPEG", "JPEG", "JPEG", *SAVED))
    data = chance.choice(jpegs()) if form == "JPEG" else saved(form)
    endings = ("jpg", "jpeg", "jfif", "jpe", "JPG") if form == "JPEG" else SAVED[form]
    ending = chance.choice((*endings, *endings, "png", "", "photo", "jpg.bak"))
    return f"{chance.choice(('', 'IMG_', 'a b ', 'ñ'))}{number}{'.' if ending else ''}{ending}", data


def damaged(chance: random.Random) -> tuple[str, bytes]:
    """A file with the extension of an image that is not an image, or not a whole one."""
    data = chance.choice((b"", b"<html>404</html>", jpegs()[0][:-40], saved("PNG")[:60]))
    return f"zbad{chance.randrange(99)}.{chance.choice(('jpg', 'png', 'JPEG', 'tif'))}", data


def layout(chance: random.Random) -> tuple[str, list[str], list[str]]:
    """The folder of the data set, its splits and its classes."""
    root = chance.choice(("", "", "data/", "my photos/2024/"))
    splits = chance.choice(([""], ["train/", "val/"], ["train/", "valid/", "test/"], ["train/", "val/", "test/"]))
    return root, splits, chance.sample(CLASSES, chance.randint(2, 4))


def odd_tree(seed: int, folder: Path) -> Path:
    """Make the tree of this seed in `folder`. Each of its classes has one sound image or more in each split."""
    chance = random.Random(seed)
    root, splits, classes = layout(chance)
    files: dict[str, bytes] = {}
    for split in splits:
        unlabelled = split == "test/" and chance.random() < 0.5
        for name in ["images"] if unlabelled else classes:
            inside = f"{root}{split}{name}/"
            found = [picture(chance, number) for number in range(chance.randint(1, 4))]
            found += [damaged(chance)] if chance.random() < 0.3 else []
            files |= {inside + chance.choice(("", "", "more/")) + path: data for path, data in found}
            files[f"{inside}a sound one.jpg"] = jpegs()[0]
    places = ["", root, *(root + split for split in splits), *(path.rpartition("/")[0] + "/" for path in files)]
    for _ in range(chance.randint(0, 8)):
        name, data = _beside(chance)
        files[chance.choice(places) + name] = data
    as_folder(files, folder)
    _more(chance, folder, [f"{root}{splits[0]}", *places], sorted(files))
    return folder


def _beside(chance: random.Random) -> tuple[str, bytes]:
    """The name and the bytes of a file that is not a sample."""
    hidden = chance.choice((*HIDDEN, *(f"{one}/x/1.jpg" for one in HIDDEN_FOLDERS)))
    return chance.choice((*NO_IMAGES.items(), *OTHER_KINDS.items(), *[(hidden, jpegs()[0])] * 6))


def _more(chance: random.Random, folder: Path, places: list[str], files: list[str]) -> None:
    """Stray images, links, a pipe, empty folders, a class of notes, and a class of damaged images."""
    for kind in chance.sample(range(8), chance.randint(0, 4)):
        place = folder / chance.choice(places)
        if kind == 0:
            name, data = picture(chance, 77)
            (folder / places[0] / name).write_bytes(data)
        elif kind == 1:
            (place / "link.jpg").symlink_to(folder / files[0])
        elif kind == 2:
            (place / "linked").symlink_to(folder, target_is_directory=True)
        elif kind == 3:
            os.mkfifo(place / "pipe")
        elif kind == 4:
            (folder / places[0] / "nothing" / "inside").mkdir(parents=True)
        elif kind == 5:
            as_folder({"notes/only.txt": b"text", "notes/.DS_Store": b"x"}, folder / places[0])
        elif kind == 6:
            as_folder({"spoilt/1.jpg": b"junk", "spoilt/2.png": b""}, folder / places[0])
        else:
            as_folder({"hidden only/.DS_Store": b"x"}, folder / places[0])
