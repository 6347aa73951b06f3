"""The real TinyImageNet with 5 % of its images planted again: each is found, and left out or refused as told."""

import hashlib
import json
import os
import random
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.equal_images import KINDS
from headrace.shards.errors import DataError
from headrace.shards.inspection import LISTED, inspect
from headrace.shards.shardset import ShardSet

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]
WORKERS = len(os.sched_getaffinity(0))
ANNOTATIONS = "val/val_annotations.txt"


class Planted(NamedTuple):
    """The zip with the copies; of each image its class and its SHA-256, by path; and the paths of the copies."""

    source: Path
    label_of: dict[str, str]
    sum_of: dict[str, bytes]
    copies: set[str]


@pytest.fixture(scope="module")
def planted(real_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Copies in the same class, in the other split, and, one in five, under another label; in either split."""
    source, dealt = tmp_path_factory.mktemp("planted") / "planted.zip", random.Random(5)
    with zipfile.ZipFile(real_zip) as real, zipfile.ZipFile(source, "w") as archive:
        (root,) = {name.partition("/")[0] for name in real.namelist()}
        annotated = real.read(f"{root}/{ANNOTATIONS}").decode()
        label_of = {f"val/images/{one[0]}": one[1] for one in (line.split("\t") for line in annotated.splitlines())}
        train = [name.partition("/")[2] for name in real.namelist() if "/train/" in name and name.endswith("JPEG")]
        label_of |= {path: path.split("/")[1] for path in train}
        for name in real.namelist():
            if name != f"{root}/{ANNOTATIONS}" and "/test/" not in name:
                archive.writestr(name, real.read(name))
        classes, images, copies = sorted(set(label_of.values())), sorted(label_of), set()
        for number, path in enumerate(dealt.sample(images, len(images) // 20)):
            label = dealt.choice(classes) if number % 5 == 0 else label_of[path]
            copy = f"train/{label}/images/planted_{number}.JPEG" if number % 4 else f"val/images/planted_{number}.JPEG"
            archive.writestr(f"{root}/{copy}", real.read(f"{root}/{path}"))
            label_of[copy] = label
            copies.add(copy)
            if copy.startswith("val/"):
                annotated += f"planted_{number}.JPEG\t{label}\t0\t0\t62\t62\n"
        archive.writestr(f"{root}/{ANNOTATIONS}", annotated)
        sums = {path: hashlib.sha256(archive.read(f"{root}/{path}")).digest() for path in label_of}
    return Planted(source, label_of, sums, copies)


def groups(planted: Planted) -> list[list[str]]:
    """The paths of each image, that which stays first."""
    equal: defaultdict[bytes, list[str]] = defaultdict(list)
    for path in planted.label_of:
        equal[planted.sum_of[path]].append(path)
    return [sorted(paths, key=lambda path: (path.startswith("train/"), path)) for paths in equal.values()]


def test_inspect_finds_them(planted: Planted, tmp_path: Path) -> None:
    """In the set of all files: counts by split, across splits and under two labels, and the first pairs of each."""
    prep(planted.source, tmp_path / "set", Options(), workers=WORKERS, if_exists="error", say=print)
    shards = ShardSet.open(tmp_path / "set")
    facts = inspect(shards)
    assert shards.manifest.samples == len(planted.label_of)
    equal: defaultdict[bytes, list[tuple[str, str]]] = defaultdict(list)  # split and path of each sample, in order
    for name in shards:
        for path in shards[name].sources:
            equal[planted.sum_of[path]].append((name, path))
    pairs: dict[str, list[tuple[str, str]]] = {kind: [] for kind in KINDS}
    for (split, path), *others in equal.values():
        for other_split, other in others:
            same = planted.label_of[path] == planted.label_of[other]
            pairs["across" if split != other_split else "within" if same else "labels"].append((path, other))
    assert facts.pairs == {kind: len(found) for kind, found in pairs.items()}
    assert min(facts.pairs.values()) > 300
    assert facts.images == sum(len(own) > 1 for own in equal.values())
    assert facts.disputed == sum(len({planted.label_of[path] for _, path in own}) > 1 for own in equal.values())
    for kind in KINDS:
        listed = [(one.first.source, one.second.source) for one in facts.twins if one.kind == kind]
        assert listed == pairs[kind][:LISTED]
    for facts_of in facts.splits:
        own = [[planted.label_of[path] for split, path in one if split == facts_of.name] for one in equal.values()]
        assert facts_of.repeated == sum(len(labels) - 1 for labels in own if labels)
        assert facts_of.conflicting == sum(len(set(labels)) > 1 for labels in own)
    in_both = [[split for split, _ in own] for own in equal.values() if len({split for split, _ in own}) > 1]
    assert facts.shared == {("train", "val"): sum(splits.count("val") for splits in in_both)}
    found = {path for own in equal.values() if len(own) > 1 for _, path in own}
    assert planted.copies <= found


def test_prep_leaves_them_out_or_refuses(planted: Planted, tmp_path: Path) -> None:
    """Refused because of labels; with conflicts dropped, exactly the files that a dictionary finds are left out."""
    label_of, found = planted.label_of, groups(planted)
    conflicts = [paths for paths in found if len({label_of[path] for path in paths}) > 1]
    gone = {path for paths in found for path in (paths if paths in conflicts else paths[1:])}
    assert len(conflicts) > 900
    assert len(gone) > 5500
    out = tmp_path / "set"
    with pytest.raises(DataError, match=f"{len(conflicts):,} images in more than one class"):
        prep(planted.source, out, Options(dedupe="exact"), workers=WORKERS, if_exists="error", say=print)
    options = Options(dedupe="exact", on_conflict="drop")
    prep(planted.source, out, options, workers=WORKERS, if_exists="error", say=print)
    shards = ShardSet.open(out)
    assert {path for name in shards for path in shards[name].sources} == label_of.keys() - gone
    notes = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert {line["source"] for line in notes if line["reason"].startswith("a duplicate of")} == gone
    facts = inspect(shards)
    assert (facts.images, facts.pairs, facts.twins) == (0, dict.fromkeys(KINDS, 0), ())
    assert prep(planted.source, out, options, workers=WORKERS, if_exists="reuse", say=print).reused
