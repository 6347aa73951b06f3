"""The balance of a source: each of its files is a sample, or is named in the report with the reason."""

import json
import random
import shutil
import subprocess
import tarfile
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import Result, prep
from headrace.prep.sources.files import NOT_AN_IMAGE, OTHER_KIND
from headrace.prep.summary import summary
from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet
from tests.prep.odd_trees import odd_tree

FIND, FILE = shutil.which("find"), shutil.which("file")
READ_KINDS = {
    "jpeg",
    "png",
    "webp",
    "bmp",
    "x-ms-bmp",
    "tiff",
    "gif",
    "jp2",
    "avif",
    "heic",
    "heif",
    "x-portable-pixmap",
}


def options(seed: int) -> Options:
    """Options that leave out as much as possible."""
    chance = random.Random(seed)
    return Options(
        on_bad="skip",
        max_bad="100%",
        classes=chance.choice((None, None, 2)),
        per_class=chance.choice((None, None, 1)),
        on_empty_class=chance.choice(("drop", "keep")),
    )


def made(source: Path, out: Path, chosen: Options) -> Result:
    """The set of a source; a source without a validation split gives a share for it."""
    try:
        return prep(source, out, chosen, workers=1, if_exists="error", say=lambda _: None)
    except DataError:
        raise
    except Exception as error:
        if "--val-fraction" not in str(error):
            raise
        again = Options(**{**chosen.record(), "val_fraction": 0.3})  # type: ignore[arg-type]
        return prep(source, out, again, workers=1, if_exists="error", say=lambda _: None)


def found(source: Path) -> set[str]:
    """Everything but folders that find(1), tarfile or zipfile lists."""
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            return {one.filename for one in archive.infolist() if not one.is_dir()}
    if source.is_file():
        with tarfile.open(source) as tar:
            return {one.name for one in tar if not one.isdir()}
    assert FIND
    lines = subprocess.run([FIND, source, "!", "-type", "d", "-printf", "%P\\0"], capture_output=True, check=True)
    return {name for name in lines.stdout.decode().split("\0") if name}


def tarred(tree: Path, path: Path) -> Path:
    """A tar of everything in a folder."""
    with tarfile.open(path, "w") as archive:
        for one in sorted(tree.iterdir()):
            archive.add(one, one.name)
    return path


def zipped(tree: Path, path: Path) -> Path:
    """A zip of everything in a folder, with links and pipes as zip(1) stores them."""
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(tree.rglob("*")):
            name = str(one.relative_to(tree))
            info = zipfile.ZipInfo(f"{name}/" if one.is_dir() and not one.is_symlink() else name)
            info.create_system, info.external_attr = 3, one.lstat().st_mode << 16
            data = str(one.readlink()).encode() if one.is_symlink() else one.read_bytes() if one.is_file() else b""
            archive.writestr(info, data)
    return path


def images(source: Path, names: list[str]) -> dict[str, str]:
    """The type that file(1) gives each file, such as image/jpeg."""
    assert FILE
    listed = subprocess.run(
        [FILE, "--mime-type", "--brief", "--no-dereference", *(f"./{name}" for name in names)],
        capture_output=True,
        check=True,
        cwd=source,
        text=True,
    )
    return dict(zip(names, listed.stdout.splitlines(), strict=True))


def root_of(files: set[str], samples: set[str]) -> PurePosixPath:
    """The folder of the source in which the paths of the samples begin."""
    some = min(samples)
    roots = (PurePosixPath(name[: -len(some)] or ".") for name in sorted(files) if name.endswith(some))
    return next(one for one in roots if all(str(one / name) in files for name in samples))


def check(source: Path, tree: Path, out: Path) -> Counter[str]:
    """That samples and reported files are the files of the source; how many there are by reason.

    `tree` is the folder that the source is, or was made of.
    """
    files, shards = found(source), ShardSet.open(out)
    samples = {path for name in shards.split_names for path in shards.split(name).sources}
    root = root_of(files, samples)
    lines = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    told = [(normal(root, one["source"]), one) for one in lines if one["action"] != "converted"]
    single = {path for path, one in told if "files" not in one}
    whole = {path: one["files"] for path, one in told if "files" in one}
    named = {str(root / path) for path in samples} | single
    assert len(samples) + len(single) == len(named), "a file is both a sample and left out, or named twice"
    rest = files - named
    assert named <= files, f"named, but not there: {named - files}"
    assert {path for path in rest if not any(path.startswith(f"{one}/") for one in whole)} == set(), "lost in silence"
    assert len(rest) == sum(whole.values())
    if FILE:
        agree(tree, {str(root / path) for path in samples}, {path: one["reason"] for path, one in told})
    return Counter(one["reason"] for _, one in told)


def normal(root: PurePosixPath, path: str) -> str:
    """The path in the source for a path relative to its root."""
    parts = list(root.parts)
    for part in path.rstrip("/").split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def agree(source: Path, samples: set[str], told: dict[str, str]) -> None:
    """Check that file(1) takes every sample for an image, and no file that was reported as none."""
    none = [path for path, reason in told.items() if reason == NOT_AN_IMAGE]
    other = [path for path, reason in told.items() if reason == OTHER_KIND]
    kinds = images(source, sorted(samples) + none + other)
    assert {path: kinds[path] for path in samples if not kinds[path].startswith("image/")} == {}
    assert {path: kinds[path] for path in none if kinds[path].partition("/")[2] in READ_KINDS} == {}
    assert {path: kinds[path] for path in other if not kinds[path].startswith("image/")} == {}


@pytest.mark.skipif(FIND is None, reason="needs find")
@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 500), marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]
)
def test_every_file_is_a_sample_or_reported(seeds: range, tmp_path: Path) -> None:
    """In random folders, zips and tars every file is accounted for, according to find and file."""
    reasons: Counter[str] = Counter()
    for seed in seeds:
        tree, out = odd_tree(seed, tmp_path / f"in{seed}"), tmp_path / f"out{seed}"
        form = {1: "zip", 3: "tar"}.get(seed % 4, "folder")
        source = {"zip": zipped, "tar": tarred}[form](tree, tmp_path / f"in.{form}") if form != "folder" else tree
        result = made(source, out, options(seed))
        told = check(source, tree, out)
        reasons += told
        text = summary(result, out)
        assert result.tally.bad.total() <= result.tally.images
        assert all(name in text for name in result.tally.empty[:9])
        shutil.rmtree(tree)
        shutil.rmtree(out)
    for words in (
        "hidden",
        "not an image",
        "format that is not read",
        "symbolic link",
        "beside",
        "without labels",
        "option",
    ):
        assert any(words in reason for reason in reasons), f"no tree has one that is {words}"
