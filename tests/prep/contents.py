"""Sources for tests: TinyImageNet's layout in miniature, as files in memory, a folder, or a zip."""

import zipfile
from pathlib import Path

import numpy as np

from headrace.prep.images.admit import encode
from headrace.prep.images.drawing import draw

WNIDS = ("n01", "n02", "n03")
Contents = dict[str, bytes]


def small(train: int = 6, val: int = 2) -> Contents:
    """Three classes of drawn images: path inside the source -> bytes."""
    files: Contents = {"wnids.txt": b"n03\nn01\nn02\n", "words.txt": b"n01\tgoldfish, Carassius\nn02\tshark\n"}
    annotations = []
    for label, wnid in enumerate(WNIDS):
        pictures = [encode(one) for one in draw(label, np.arange(train + val), seed=1)]
        files |= {f"train/{wnid}/images/{wnid}_{k}.JPEG": data for k, data in enumerate(pictures[:train])}
        for k, data in enumerate(pictures[train:]):
            files[f"val/images/{label}_{k}.JPEG"] = data
            annotations.append(f"{label}_{k}.JPEG\t{wnid}\t0\t0\t63\t63\n")
        files[f"train/{wnid}/{wnid}_boxes.txt"] = b"not read\n"
    files["val/val_annotations.txt"] = "".join(annotations).encode()
    files["test/images/test_0.JPEG"] = b"not read"
    return files


def more_of_the_demo(root: Path, seed: int, count: int) -> Path:
    """`count` new images of each class of the demo data set, as CLASS/ folders with file names of their own."""
    pictures = {f"n{90_000_000 + label}": draw(label, np.arange(count), seed) for label in range(12)}
    files = {f"{one}/{seed}-{k}.jpg": encode(pixels) for one, own in pictures.items() for k, pixels in enumerate(own)}
    return as_folder(files, root)


def as_folder(files: Contents, root: Path) -> Path:
    """Write the files below `root`, and return it."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def as_zip(files: Contents, path: Path, *, root: str = "tiny/", method: int = zipfile.ZIP_STORED) -> Path:
    """Write the files into a zip, below its folder `root`, and return its path."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(root + name, data)
    return path
