import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.images.admit import encode
from headrace.prep.sheet import write_sheet
from headrace.shards.errors import DataError, UsageError
from headrace.shards.inspection import LISTED, inspect
from headrace.shards.shardset import ShardSet
from tests.prep.contents import Contents, as_folder
from tests.prep.test_commands import one_line, run

COLOURS = {"blue": (20, 40, 220), "green": (30, 180, 40), "red": (220, 30, 20)}


def plain(colour: tuple[int, int, int], width: int, height: int) -> bytes:
    """A picture of a single colour."""
    return encode(np.full((height, width, 3), colour, np.uint8))


def coloured(tmp_path: Path, classes: dict[str, tuple[int, int, int]], width: int = 64, height: int = 64) -> ShardSet:
    """A set of classes in plain colours, with 9 training and 3 validation samples each."""
    files: Contents = {}
    for name, colour in classes.items():
        files |= {f"train/{name}/{k}.jpg": plain(colour, width, height) for k in range(9)}
        files |= {f"val/{name}/{k}.jpg": plain(colour, width, height) for k in range(3)}
    as_folder(files, tmp_path / "in")
    prep(tmp_path / "in", tmp_path / "set", Options(), workers=1, if_exists="error", say=print)
    return ShardSet.open(tmp_path / "set")


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The pixels of the sheet."""
    return np.asarray(Image.open(io.BytesIO(path.read_bytes()))).astype(np.int64)


def squares(sheet: np.ndarray[tuple[int, ...], np.dtype[np.int64]], colour: tuple[int, int, int]) -> float:
    """The number of 64-pixel squares of this colour."""
    return float((np.abs(sheet - colour).max(-1) < 8).sum() / 64**2)


def test_sheet_shows_samples_of_every_class(tmp_path: Path) -> None:
    """Each class has a row of six training and two validation samples, with its name beside it."""
    path = tmp_path / "sheet.png"
    assert write_sheet(coloured(tmp_path, COLOURS), path).endswith("samples of 3 of 3 classes")
    sheet = pixels(path)
    assert [round(squares(sheet, colour), 2) for colour in COLOURS.values()] == [8, 8, 8]
    rows = [np.flatnonzero((np.abs(sheet[:, :736] - COLOURS[name]).max(-1) < 8).any(1)) for name in ("blue", "green")]
    assert rows[0].max() < rows[1].min()
    assert (sheet[44:108, :160] < 100).any()


def test_sheet_is_the_same_each_time(tiny_set: Path, tmp_path: Path) -> None:
    """The samples are chosen by a hash, so a sheet can be compared with an older one."""
    for name in "ab":
        write_sheet(ShardSet.open(tiny_set), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_of_many_classes_some_are_shown(tmp_path: Path) -> None:
    """Of many classes the sheet shows forty, spread evenly over the list."""
    classes = {f"{number:03d}": COLOURS["red"] for number in range(90)}
    assert "40 of 90 classes" in write_sheet(coloured(tmp_path, classes, 8, 8), tmp_path / "a.png")
    assert squares(pixels(tmp_path / "a.png"), COLOURS["red"]) == 320


def test_odd_shapes_fit(tmp_path: Path) -> None:
    """A very wide picture is drawn as a line in its square, and is not an error."""
    write_sheet(coloured(tmp_path, COLOURS, 640, 2), tmp_path / "a.png")
    assert squares(pixels(tmp_path / "a.png"), COLOURS["green"]) == pytest.approx(8 / 64)


def test_pairs_of_equal_images_are_below(tmp_path: Path) -> None:
    """Each pair is one picture more, beside ink for both samples; the rows above stay as they are."""
    shards = coloured(tmp_path, COLOURS)
    found = inspect(shards).twins
    assert [one.kind for one in found].count("within") == LISTED  # plain pictures of a class are all equal
    twins = [*found, *found][:40]
    write_sheet(shards, tmp_path / "a.png")
    assert write_sheet(shards, tmp_path / "b.png", twins).endswith("3 of 3 classes, 40 pairs of equal images")
    without, sheet = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    assert (sheet[: len(without)] == without).all()
    added = [squares(sheet, colour) - squares(without, colour) for colour in COLOURS.values()]
    assert round(sum(added)) == 40
    assert (sheet[len(without) + 44 : len(without) + 108, 80:288] < 130).any()


def test_damaged_sample_is_named(tiny_set: Path, tmp_path: Path) -> None:
    """A changed tar is found by its checksum, and no sheet is written."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    for tar in copy.glob("*.tar"):
        tar.write_bytes(tar.read_bytes()[:512].ljust(tar.stat().st_size, b"?"))
    with pytest.raises(DataError, match=r"key 0000.*CRC-32"):
        write_sheet(ShardSet.open(copy), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_wrong_names_are_refused(tiny_set: Path, tmp_path: Path) -> None:
    """A name that is not a PNG, or in a missing folder, is refused with what to do."""
    shards = ShardSet.open(tiny_set)
    with pytest.raises(UsageError, match=r"ends with \.png"):
        write_sheet(shards, tmp_path / "a.jpg")
    with pytest.raises(UsageError, match=r"does not exist"):
        write_sheet(shards, tmp_path / "none" / "a.png")


def test_command(tiny_set: Path, tmp_path: Path) -> None:
    """`headrace inspect --sheet` prints the figures and writes the sheet; its errors are one line."""
    done = run("inspect", tiny_set, "--sheet", tmp_path / "a.png")
    assert (done.returncode, "samples of 12 of 12 classes" in done.stdout) == (0, True)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done = run("inspect", tiny_set, "--sheet", tmp_path / "a.gif")
    assert (done.returncode, ".png" in one_line(done)) == (2, True)
