"""A part of the real TinyImageNet as a tree of folders: as many classes and images as the drawn set of the tests."""

import zipfile
from collections import defaultdict
from pathlib import Path


def extract(source: Path, out: Path, classes: int, train: int, val: int) -> Path:
    """The first images of the first classes of the official zip, in out/train and out/val."""
    kept: defaultdict[tuple[str, str], int] = defaultdict(int)
    with zipfile.ZipFile(source) as held:
        names = sorted(held.namelist())
        root = names[0].split("/")[0]
        wanted = held.read(f"{root}/wnids.txt").decode().split()[:classes]
        lines = held.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        labels = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
        for name in names:
            parts = name.split("/")
            if not name.endswith(".JPEG") or parts[1] not in ("train", "val"):
                continue
            label = parts[2] if parts[1] == "train" else labels[parts[-1]]
            if label not in wanted or kept[parts[1], label] == {"train": train, "val": val}[parts[1]]:
                continue
            kept[parts[1], label] += 1
            path = out / parts[1] / label / parts[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(held.read(name))
    return out
