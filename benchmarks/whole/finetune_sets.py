"""The image sets of `benchmarks.whole.finetune`: parts of TinyImageNet, and photographs out of a Debian package."""

import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from PIL import Image

from headrace.shards.shardset import ShardSet

SURFACES = ("carpet", "concrete", "dirt", "door", "floor", "grass", "metall", "rock", "wall", "wood")
"""Classes of the photographs: what their authors called the files, in front of a number."""
LEAST_SIDE = 500  # pixels
_DERIVED = re.compile(r"_(nm|gm|sm|rm|hm|norm|glow|spec)\b")  # height, gloss and light of a surface, not its photograph


def unpack_photographs(package: Path, tree: Path) -> None:
    """Photographs of surfaces as TREE/CLASS/NAME, from the unpacked Debian package ufoai-textures; each file once."""
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
    """The same JPEGs as a tree that torchvision's ImageFolder reads: TREE/SPLIT/LABEL/KEY.jpg, labels sorted."""
    found = ShardSet.open(shards)
    for name in found:
        for picture in found.split(name):
            folder = tree / name / f"{picture.label:04}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{picture.key}.jpg").write_bytes(picture.jpeg)


def describe(shards: Path) -> str:
    """Images, classes and the median side of a set."""
    found = ShardSet.open(shards)
    counts = ", ".join(f"{split.samples:,} {split.name}" for split in found.manifest.splits)
    return f"{counts}, {len(found.class_ids)} classes, median shorter side {found.median_side('train')} px"
