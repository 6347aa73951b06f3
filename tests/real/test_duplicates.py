"""The real TinyImageNet with 5 % of its images planted again: each is found, and left out or refused as told."""

import hashlib
import json
import os
import random
import shutil
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]


def test_planted_duplicates_are_found(real_zip: Path, tmp_path: Path) -> None:
    """Within a class, from validation into training, and under two labels: the files that a dictionary finds."""
    source, dealt = tmp_path / "planted.zip", random.Random(5)
    shutil.copyfile(real_zip, source)
    with zipfile.ZipFile(source, "a") as archive:
        (root,) = {name.partition("/")[0] for name in archive.namelist()}
        lines = archive.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        label_of = {f"val/images/{words[0]}": words[1] for words in (line.split("\t") for line in lines)}
        train = [name.partition("/")[2] for name in archive.namelist() if "/train/" in name and name.endswith("JPEG")]
        label_of |= {path: path.split("/")[1] for path in train}
        classes = sorted(set(label_of.values()))
        images = sorted(label_of)
        for number, path in enumerate(dealt.sample(images, len(images) // 20)):
            label = dealt.choice(classes) if number % 10 == 0 else label_of[path]
            copy = f"train/{label}/images/planted_{number}.JPEG"
            archive.writestr(f"{root}/{copy}", archive.read(f"{root}/{path}"))
            label_of[copy] = label
        equal: defaultdict[bytes, list[str]] = defaultdict(list)
        for path in label_of:
            equal[hashlib.sha256(archive.read(f"{root}/{path}")).digest()].append(path)
    groups = [sorted(paths, key=lambda path: (path.startswith("train/"), path)) for paths in equal.values()]
    conflicts = [paths for paths in groups if len({label_of[path] for path in paths}) > 1]
    gone = {path for paths in groups for path in (paths if paths in conflicts else paths[1:])}
    assert len(conflicts) > 400
    assert len(gone) > 5500
    out, workers = tmp_path / "set", len(os.sched_getaffinity(0))
    with pytest.raises(DataError, match=f"{len(conflicts):,} images in more than one class"):
        prep(source, out, Options(dedupe="exact"), workers=workers, if_exists="error", say=print)
    options = Options(dedupe="exact", on_conflict="drop")
    prep(source, out, options, workers=workers, if_exists="error", say=print)
    shards = ShardSet.open(out)
    assert {path for name in shards for path in shards[name].sources} == label_of.keys() - gone
    notes = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert {line["source"] for line in notes if line["reason"].startswith("a duplicate of")} == gone
    assert prep(source, out, options, workers=workers, if_exists="reuse", say=print).reused
