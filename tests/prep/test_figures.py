"""What `headrace inspect` prints of equal images, sizes and classes, as text and as one object."""

import json
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.bins import EDGES
from tests.e2e.commands import here
from tests.prep.contents import Contents, as_folder
from tests.prep.test_sheet import plain

WIDE = 80


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with equal images of each kind: `a` lies in both splits, `b` under two labels, `c` twice in a class."""
    folder = tmp_path_factory.mktemp("twins")
    a, b, c, d = (plain((shade, 20, 60), 20 + shade, 40) for shade in (10, 70, 130, 190))
    files: Contents = {
        **{f"train/ant/{number}.jpg": one for number, one in enumerate((a, b, c, c, c))},
        **{f"train/bee/{number}.jpg": one for number, one in enumerate((b, d))},
        "val/ant/0.jpg": plain((250, 0, 0), 9, 9),
        "val/bee/0.jpg": a,
    }
    prep(as_folder(files, folder / "in"), folder / "set", Options(), workers=1, if_exists="error", say=print)
    return folder / "set"


def test_object_has_every_figure(twins: Path) -> None:
    """Counts, edges, histograms, balance, and each pair with both samples."""
    record = json.loads(here("inspect", twins, "--json").stdout)
    assert {name: tuple(edges) for name, edges in record["edges"].items()} == EDGES
    train, val = record["splits"]
    assert train["balance"] == {
        "smallest": {"id": "bee", "samples": 2},
        "median": {"id": "bee", "samples": 2},
        "largest": {"id": "ant", "samples": 5},
        "empty": 0,
    }
    for split in (train, val):
        assert [sum(counts) for counts in split["histograms"].values()] == [split["samples"]] * 4
    filled = {edge: n for edge, n in zip(EDGES["width"], train["histograms"]["width"], strict=True) if n}
    assert filled == {16: 1, 64: 2, 128: 3, 192: 1}
    equal = record["equal"]
    assert (equal["images"], equal["conflicting"]) == (3, 2)
    assert equal["pairs"] == {"across": 1, "labels": 1, "within": 2}
    seen = [(one["kind"], one["first"]["source"], one["second"]["source"]) for one in equal["listed"]]
    assert sorted((kind, *sorted(pair)) for kind, *pair in seen if kind != "within") == [
        ("across", "train/ant/0.jpg", "val/bee/0.jpg"),
        ("labels", "train/ant/1.jpg", "train/bee/0.jpg"),
    ]
    assert {path for kind, *pair in seen if kind == "within" for path in pair} == {
        f"train/ant/{number}.jpg" for number in (2, 3, 4)
    }
    across = equal["listed"][0]
    assert across["second"] == {
        "split": "val",
        "id": int(across["second"]["key"]),
        "key": across["second"]["key"],
        "source": "val/bee/0.jpg",
        "label": 1,
        "class": "bee",
    }


def test_text_names_pairs_and_fits_a_terminal(twins: Path) -> None:
    """Keys and classes of both samples; no line of it is wider than 80 characters, but the first."""
    lines = here("inspect", twins).stdout.splitlines()
    assert max(map(len, lines[1:])) <= WIDE
    assert "equal images: 3 occur more than once, 2 of these under several labels" in lines
    (across,) = (line for line in lines if line.startswith("    train ") and " = val " in line)
    assert across.split()[2::4] == ["ant", "bee"]
    assert "  in one split, under one label: 2 pairs" in lines
    assert "  smallest class          2 bee" in lines
    widths = lines[lines.index("  samples by width") + 1 :][:5]
    assert [line.split()[:4] for line in widths] == [
        ["16", "to", "31", "1"],
        ["32", "to", "63", "0"],
        ["64", "to", "95", "2"],
        ["96", "to", "127", "0"],
        ["128", "to", "191", "3"],
    ]


def test_pairs_beyond_the_first_are_counted(tmp_path: Path) -> None:
    """Five of each kind have a line."""
    image = plain((1, 2, 3), 9, 9)
    as_folder({f"train/ant/{number}.jpg": image for number in range(9)} | {"val/ant/0.jpg": image}, tmp_path / "in")
    prep(tmp_path / "in", tmp_path / "set", Options(), workers=1, if_exists="error", say=print)
    lines = here("inspect", tmp_path / "set").stdout.splitlines()
    assert lines[lines.index("  in one split, under one label: 8 pairs") + 6 :] == ["    and 3 more"]
    (first,) = {line.split(" = ")[0] for line in lines if " = " in line}
    assert first == "    train 000000000 ant"


def test_set_without_equal_images_says_no_more(tiny_set: Path) -> None:
    """No heading without a pair below it."""
    done = here("inspect", tiny_set)
    assert "equal images" not in done.stdout
    assert json.loads(here("inspect", tiny_set, "--json").stdout)["equal"] == {
        "images": 0,
        "conflicting": 0,
        "pairs": {"across": 0, "labels": 0, "within": 0},
        "listed": [],
    }
