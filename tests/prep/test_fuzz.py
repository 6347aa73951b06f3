"""Archives, listings and images with damage and odd names give one line of error or a set of the right samples."""

import io
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.images.admit import admit
from headrace.shards.shardset import ShardSet
from tests.prep import damage
from tests.prep.contents import Contents, as_folder
from tests.prep.damage import Damage, everything_below, refusal, tarred, tree, zipped

Samples = dict[str, tuple[str, bytes]]  # path in the source -> class, bytes
AS_BYTES = {name.encode(): data for name, data in tree().items()}
KINDS: dict[str, Callable[[dict[bytes, bytes]], bytes]] = {
    "a.zip": zipped,
    "deflated.zip": lambda contents: zipped(contents, zipfile.ZIP_DEFLATED),
    "a.tar": tarred,
    "pax.tar": lambda contents: tarred(contents, form=tarfile.PAX_FORMAT),
    "a.tar.gz": lambda contents: tarred(contents, "w:gz"),
    "a.tar.bz2": lambda contents: tarred(contents, "w:bz2"),
    "a.tar.xz": lambda contents: tarred(contents, "w:xz"),
}
SKIP = Options(on_bad="skip", max_bad="100%", on_empty_class="keep")
ROUNDS = [20, pytest.param(400, marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]


def made(source: Path, room: Path, options: Options) -> Samples | None:
    """The samples of the set that prep makes, or None if it gives a clear error; any other end fails the test."""
    before = everything_below(room)
    out, found = room / "out", None
    error = refusal(lambda: prep(source, out, options, workers=1, if_exists="error", say=lambda _: None))
    if error is None:
        found = samples(out)
        shutil.rmtree(out)
    assert (error or "").isprintable()
    shutil.rmtree(room / ".out.partial", ignore_errors=True)
    assert everything_below(room) == before, "something was written outside the set"
    return found


def samples(out: Path) -> Samples:
    """Every sample of a set by its path in the source."""
    shards = ShardSet.open(out)
    found: Samples = {}
    for name in shards.split_names:
        split = shards.split(name)
        images = split.jpegs(np.arange(len(split)))
        for path, label, image in zip(split.sources, split.labels.tolist(), images, strict=True):
            found[path] = (shards.class_ids[label], image.tobytes())
        split.close()
    return found


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archive(kind: str, rounds: int, tmp_path: Path) -> None:
    """A damaged archive is an error, or what comes from it has its own name, class and bytes.

    A plain tar has no checksum of contents, so a flipped bit there is in the image, if that still decodes.
    """
    chance, whole = random.Random(kind), KINDS[kind](AS_BYTES)
    (tmp_path / "in").mkdir()
    source, good = tmp_path / "in" / kind, 0
    for number in range(rounds * 2):
        spoil: Damage = (damage.cut, damage.flipped, damage.flipped_at_an_end)[number % 3]
        spoilt = spoil(chance, whole)
        source.write_bytes(spoilt)
        found = made(source, tmp_path, SKIP)
        for path, (label, image) in (found or {}).items():
            assert label == path.split("/")[1]
            original = tree()[path]
            flips = sum((a ^ b).bit_count() for a, b in zip(original, image, strict=True))
            assert flips <= kind.endswith(".tar"), f"{path} has other bytes than in the source"
        good += found is not None
    assert good < rounds * 2


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_scrambled_archive(kind: str, rounds: int, tmp_path: Path) -> None:
    """An archive with bytes changed, lost and doubled always ends in a set or an error."""
    chance, whole = random.Random(kind), KINDS[kind](AS_BYTES)
    (tmp_path / "in").mkdir()
    for _ in range(rounds):
        (tmp_path / "in" / kind).write_bytes(damage.scrambled(chance, whole))
        made(tmp_path / "in" / kind, tmp_path, SKIP)


@pytest.mark.parametrize("kind", ["a.zip", "a.tar", "pax.tar", "a.tar.gz", "folder"])
def test_odd_names(kind: str, tmp_path: Path) -> None:
    """A name in an archive never leads outside: its image is in the set, or the run ends with an error."""
    jpegs = list(tree().values())
    inside = tmp_path / "in"
    inside.mkdir()
    for name in damage.ODD_NAMES:
        contents = {name: jpegs[0], b"class/plain.jpg": jpegs[1], b"other/plain.jpg": jpegs[2]}
        try:
            source = in_folder(contents, inside / "folder") if kind == "folder" else inside / kind
            if kind != "folder":
                source.write_bytes(KINDS[kind](contents))
        except (OSError, ValueError):
            continue  # this name cannot be written in this way at all
        found = made(source, tmp_path, Options(val_fraction=0))
        assert found is None or {image for _, image in found.values()} <= set(jpegs[:3])
        assert found is None or found.get("class/plain.jpg", ("class", jpegs[1])) == ("class", jpegs[1])
        if kind == "folder":
            shutil.rmtree(source)


def in_folder(contents: dict[bytes, bytes], root: Path) -> Path:
    """The files below `root`; a name that would leave it raises ValueError."""
    for name, data in contents.items():
        path = root / name.decode("utf-8", "surrogateescape")
        if not path.resolve().is_relative_to(root) or path.resolve() == root:
            raise ValueError(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_damaged_listing(ending: str, rounds: int, tmp_path: Path) -> None:
    """A damaged listing gives files below its folder, each with its own bytes, or an error."""
    chance = random.Random(ending)
    as_folder(tree(), tmp_path / "in")
    columns = {"path": list(tree()), "label": ["a", "b", "é"] * 4, "split": ["train"] * 9 + ["val"] * 3}
    listing = tmp_path / "in" / f"list.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table(columns), listing)
    else:
        rows = zip(*columns.values(), strict=True)
        listing.write_text("path,label,split\n" + "".join(",".join(row) + "\n" for row in rows))
    whole, good = listing.read_bytes(), 0
    for number in range(rounds * 4):
        listing.write_bytes((damage.cut, damage.flipped, damage.scrambled)[number % 3](chance, whole))
        found = made(listing, tmp_path, SKIP)
        good += found is not None
        for path, (_, image) in (found or {}).items():
            assert image == (tmp_path / "in" / path).read_bytes()
    assert good < rounds * 4


def pictures() -> Contents:
    """A picture in every admitted format, and in some odd forms of them."""
    pixels = Image.fromarray(np.arange(40 * 24 * 3, dtype=np.uint16).astype(np.uint8).reshape(24, 40, 3))
    forms = {
        "jpg": (pixels, "JPEG", {}),
        "grey.jpg": (pixels.convert("L"), "JPEG", {"progressive": True}),
        "cmyk.jpg": (pixels.convert("CMYK"), "JPEG", {}),
        "png": (pixels, "PNG", {}),
        "alpha.png": (pixels.convert("RGBA"), "PNG", {}),
        "palette.png": (pixels.convert("P"), "PNG", {}),
        "webp": (pixels, "WEBP", {}),
        "bmp": (pixels, "BMP", {}),
        "tiff": (pixels, "TIFF", {}),
        "ppm": (pixels, "PPM", {}),
        "jp2": (pixels, "JPEG2000", {}),
    }
    found = {}
    for name, (picture, form, options) in forms.items():
        out = io.BytesIO()
        picture.save(out, form, **options)
        found[name] = out.getvalue()
    return found


@pytest.mark.parametrize("rounds", ROUNDS)
def test_damaged_images(rounds: int, tmp_path: Path) -> None:
    """Of hundreds of damaged images each is left out with a reason, or is in the set and decodes.

    A JPEG that is kept has the bytes of its file.
    """
    chance, files = random.Random(3), {"class/sound.jpg": tree()["train/ant/0.jpg"]}
    for name, whole in pictures().items():
        for number in range(rounds * 3):
            spoil: Damage = (damage.cut, damage.flipped, damage.scrambled)[number % 3]
            files[f"class/{number}.{name}"] = spoil(chance, whole)
    as_folder(files, tmp_path / "in")
    found = made(tmp_path / "in", tmp_path, Options(on_bad="skip", max_bad="100%", val_fraction=0))
    assert found is not None
    assert 10 < len(found) < len(files)
    for path, (_, image) in found.items():
        assert admit(image).change == ""
        if admit(files[path]).change == "":
            assert image == files[path]
