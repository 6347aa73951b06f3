"""Makes the image sets of `benchmarks.whole.finetune`: parts of TinyImageNet, and photographs from a Debian package."""

import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from PIL import Image

from headrace.shards.shardset import ShardSet

SURFACES = ("carpet", "concrete", "dirt", "door", "floor", "grass", "metall", "rock", "wall", "wood")
"""The classes of the photographs: the words before the numbers in the names that their authors gave the files."""
LEAST_SIDE = 500  # pixels
_DERIVED = re.compile(r"_(nm|gm|sm|rm|hm|norm|glow|spec)\b")  # maps of height, gloss or light


def unpack_photographs(package: Path, tree: Path) -> None:
    """Write photographs of surfaces from the unpacked Debian package ufoai-textures to TREE/CLASS/NAME, each once."""
    (archive,) = package.rglob("0textures.pk3")
    seen = set()
    with zipfile.ZipFile(archive) as members:
        for member in sorted(members.infolist(), key=lambda one: one.filename):
            path = Path(member.filename)
            word = re.match("[a-z]*", path.stem)
            if path.suffix not in {".jpg", ".png"} or _DERIVED.search(path.stem) or word is None:
                continue
            if word[0] not in SURFACES or (digest := hashlib.sha256(members.read(member)).digest()) in seen:
                continue
            seen.add(digest)
            with members.open(member) as file, Image.open(file) as image:
                large = min(image.size) >= LEAST_SIDE
            if large:
                target = tree / word[0] / f"{path.parent.name}-{path.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                with members.open(member) as file, target.open("wb") as out:
                    shutil.copyfileobj(file, out)


def write_tree(shards: Path, tree: Path) -> None:
    """Write the JPEGs of a set to TREE/SPLIT/LABEL/KEY.jpg for torchvision's ImageFolder, which sorts labels."""
    found = ShardSet.open(shards)
    for name in found:
        for picture in found.split(name):
            folder = tree / name / f"{picture.label:04}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{picture.key}.jpg").write_bytes(picture.jpeg)


def describe(shards: Path) -> str:
    """A text with the number of images and classes of a set, and its median side."""
    found = ShardSet.open(shards)
    counts = ", ".join(f"{split.samples:,} {split.name}" for split in found.manifest.splits)
    return f"{counts}, {len(found.class_ids)} classes, median shorter side {found.median_side('train')} px"
