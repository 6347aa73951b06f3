"""`headrace predict` and `headrace.load_model`: the probabilities that prep followed by eval would give."""

import csv
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import headrace
from headrace import cli
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.errors import UsageError
from headrace.shards.shardset import ShardSet
from headrace.train.model.normalisation import normalisation_of
from headrace.train.record.answers import COLUMNS
from headrace.train.record.predictions import Predictions
from tests.checkout import HEADRACE, SEARCH
from tests.e2e.commands import SMALL, here, refused
from tests.e2e.commands import headrace as command
from tests.prep.odd_jpegs import ORIENTATION, odd_jpeg

Rows = list[dict[str, str]]
OTHERS = ("--set=model.batch_norm_momentum=1.0",)
"""Running statistics are those of the last batch, so that images differ in their logits."""


@pytest.fixture(scope="module")
def run(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one short epoch."""
    out = tmp_path_factory.mktemp("predict") / "run"
    result = command("train", tiny_set, "--out", out, *SMALL, *OTHERS)
    assert result.code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def measured(run: Path, tiny_set: Path) -> Predictions:
    """What eval says of each validation sample."""
    result = here("eval", run, tiny_set, "--out", run.parent / "measured", "--device", "cpu")
    assert result.code == 0, result.stderr
    found = Predictions.read(run.parent / "measured" / "validation.parquet")
    assert len(set(map(tuple, found.top_labels.tolist()))) > 20  # else nothing below would see images exchanged
    return found


@pytest.fixture(scope="module")
def folder(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validation images as files, called by their keys."""
    out, split = tmp_path_factory.mktemp("images"), ShardSet.open(tiny_set)["val"]
    for number, key in enumerate(split.keys):
        (out / f"{key}.jpg").write_bytes(split[number].jpeg)
    return out


def table(text: str) -> Rows:
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))


def as_measured(rows: Rows, measured: Predictions, first: int = 0) -> None:
    """Five rows an image, with eval's labels and probabilities in eval's order, from one sample on."""
    assert tuple(rows[0]) == COLUMNS
    count = len(rows) // 5
    labels = np.array([int(row["label"]) for row in rows]).reshape(count, 5)
    chances = np.array([float(row["probability"]) for row in rows]).reshape(count, 5)
    assert labels.tolist() == measured.top_labels[first : first + count].tolist()
    np.testing.assert_allclose(chances, measured.top_probabilities[first : first + count], atol=2e-6)
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 6)] * count
    for row in rows:
        known = (measured.origin.classes, measured.origin.class_names)
        assert (row["class"], row["name"]) == tuple(names[int(row["label"])] for names in known)


def test_folder_has_the_numbers_of_eval(run: Path, folder: Path, measured: Predictions) -> None:
    """All images of a folder, by name; the progress goes elsewhere."""
    result = here("predict", run, folder, "--device=cpu")
    assert result.code == 0, result.stderr
    rows = table(result.stdout)
    as_measured(rows, measured)
    assert [row["file"] for row in rows[::5]] == [str(path) for path in sorted(folder.iterdir())]


def test_every_kind_of_place(run: Path, folder: Path, measured: Predictions, tiny_set: Path, tmp_path: Path) -> None:
    """Files, a glob, a tar, a listing and a shard set have the same images, so the same numbers."""
    some = sorted(folder.iterdir())[:12]
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for path in some:
            tar.add(path, path.name)
    listing = folder.parent / "list.csv"
    listing.write_text("path,label\n" + "".join(f"{folder.name}/{path.name},x\n" for path in some))
    plain = folder.parent / "list.txt"
    plain.write_text("".join(f"{folder.name}/{path.name}\n" for path in some))
    for given in ([plain], [*some], [folder / "00000000*.jpg", *some[10:]], [tmp_path / "some.tar"], [listing]):
        result = here("predict", run, *given, "--device=cpu")
        assert result.code == 0, result.stderr
        as_measured(table(result.stdout), measured)
    rows = table(here("predict", run, tiny_set, "--device=cpu").stdout)
    assert rows[0]["file"] == f"{tiny_set}/train/000000000"
    as_measured(rows[5 * 480 :], measured)


def odd_files(folder: Path, picture: Path) -> None:
    """Grey, RGBA, 16-bit, CMYK, palette, turned, cut, of one pixel, and JPEGs with odd headers, two EXIF among them."""
    with Image.open(picture) as image:
        for mode, form in (("L", "png"), ("RGBA", "png"), ("P", "png"), ("CMYK", "jpg"), ("L", "jpg"), ("RGB", "bmp")):
            image.convert(mode).save(folder / f"{mode}.{form}")
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(deep).save(folder / "deep.png")
        for turn in range(1, 9):
            exif = Image.Exif()
            exif[ORIENTATION] = turn
            image.resize((64, 40)).save(folder / f"turned{turn}.jpg", exif=exif, quality=95)
        image.resize((1, 1)).save(folder / "one.png")
        image.resize((1, 1)).save(folder / "one.jpg")
    (folder / "cut.jpg").write_bytes(picture.read_bytes()[:-700])
    for number in range(40):
        (folder / f"odd{number}.jpg").write_bytes(odd_jpeg(number).data)


def test_odd_files_are_as_prep_makes_them(run: Path, folder: Path, tmp_path: Path) -> None:
    """Of every kind of file a row has the numbers that prep followed by eval gives; what prep refuses is an error."""
    some = sorted(folder.iterdir())[:8]
    for split in ("train", "val"):
        (tmp_path / "in" / split / "c").mkdir(parents=True)
        for path in some:
            Image.open(path).save(tmp_path / "in" / split / "c" / f"{path.stem}.png")
    odd_files(tmp_path / "in" / "val" / "c", some[0])
    prep(tmp_path / "in", tmp_path / "set", Options(on_bad="skip"), workers=1, if_exists="error", say=print)
    sources = ShardSet.open(tmp_path / "set")["val"].sources
    stored = table(here("predict", run, tmp_path / "set", "--device=cpu", "--top-k=1").stdout)
    loose = table(here("predict", run, tmp_path / "in" / "val", "--device=cpu", "--top-k=1").stdout)
    of_file = {Path(row["file"]).name: row for row in loose}
    assert len(of_file) == len(loose) == len(list((tmp_path / "in/val/c").iterdir()))
    first = [row for row in stored if "/val/" in row["file"]]
    assert {Path(source).name for source in sources} == {name for name, row in of_file.items() if not row["error"]}
    assert (
        {"cut.jpg"}
        <= {name for name, row in of_file.items() if row["error"]}
        <= {"cut.jpg", *map("odd{}.jpg".format, range(40))}
    )
    for source, row in zip(sources, first, strict=True):
        other = of_file[Path(source).name]
        assert other["label"] == row["label"]
        assert float(other["probability"]) == pytest.approx(float(row["probability"]), abs=2e-6)


def test_what_cannot_be_read_is_a_row(run: Path, folder: Path, measured: Predictions, tmp_path: Path) -> None:
    """A cut image, text called an image, a link and a path that is not there: each has its error, the others go on."""
    some = sorted(folder.iterdir())[:3]
    (tmp_path / "in").mkdir()
    for path in some:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "000000001a.jpg").write_bytes(some[0].read_bytes()[:500])
    (tmp_path / "in" / "text.png").write_text("no image")
    (tmp_path / "in" / "link.jpg").symlink_to(some[0])
    result = here("predict", run, tmp_path / "in", "--device=cpu")
    assert result.code == 3
    assert "3 of 6 images cannot be read" in result.stderr
    rows = table(result.stdout)
    as_measured([row for row in rows if not row["error"]], measured)
    errors = {Path(row["file"]).name: row for row in rows if row["error"]}
    assert sorted(errors) == ["000000001a.jpg", "link.jpg", "text.png"]
    assert errors["link.jpg"]["error"] == "a symbolic link, which is not followed"
    assert all(row["rank"] == row["label"] == row["probability"] == "" for row in errors.values())
    assert [Path(row["file"]).name for row in rows if row["rank"] in ("", "1")][:3] == [
        "000000000.jpg",
        "000000001.jpg",
        "000000001a.jpg",
    ]


def test_paths_on_standard_input(run: Path, folder: Path, measured: Predictions, tmp_path: Path) -> None:
    """Paths come line by line, to one process or two that each take their batches; the rows stay in order."""
    paths = [str(path) for path in sorted(folder.iterdir())]
    given = "\n".join([*paths[:7], str(tmp_path / "gone.jpg"), *paths[7:]])
    alone = CliRunner().invoke(cli.main, ["predict", str(run), "-", "--device=cpu"], input=given)
    words = [*HEADRACE, "predict", str(run), "-", "--device=cpu", "--nproc=2", "--out", str(tmp_path / "rows.csv")]
    env = os.environ | {"PYTHONPATH": SEARCH}
    two = subprocess.run(words, input=given, capture_output=True, text=True, env=env, timeout=200, check=False)
    assert (alone.exit_code, two.returncode, two.stdout) == (3, 3, ""), two.stderr
    assert two.stderr.count("1 of 121 images cannot be read") == 1
    for text in (alone.stdout, (tmp_path / "rows.csv").read_text("utf-8")):
        rows = table(text)
        (bad,) = [number for number, row in enumerate(rows) if row["error"]]
        assert (bad, rows[bad]["file"]) == (35, str(tmp_path / "gone.jpg"))
        as_measured([*rows[:bad], *rows[bad + 1 :]], measured)


def test_formats_say_the_same(run: Path, folder: Path, tmp_path: Path) -> None:
    """JSON and Parquet have the rows of the CSV, typed; top 2; the sheet is a picture; parquet needs a file."""
    some = [*sorted(folder.iterdir())[:3], tmp_path / "text.jpg"]
    some[-1].write_text("x")
    words: tuple[str | Path, ...] = ("predict", run, *some, "--device=cpu", "--top-k=2")
    rows = table(here(*words).stdout)
    assert len(rows) == 7
    found = json.loads(here(*words, "--format=json").stdout)
    assert here(*words, "--format=parquet", "--out", tmp_path / "a.parquet", "--sheet", tmp_path / "a.png").code == 3
    stored = pq.read_table(tmp_path / "a.parquet").to_pylist()
    for made in (found, stored):
        assert [
            {
                key: "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
                for key, value in row.items()
            }
            for row in made
        ] == rows
    assert Image.open(tmp_path / "a.png").height > 100
    refused(here(*words, "--format=parquet"), 2, "--out FILE")
    refused(here("predict", run, tmp_path / "nothing"), 2, "no such file or folder")
    refused(here("predict", run, folder, "--out", tmp_path / "a" / "b.csv"), 2, "a does not exist. Make it first")
    (tmp_path / "empty").mkdir()
    refused(here("predict", run, tmp_path / "empty"), 2, "no image in it")


def test_module_in_three_lines(run: Path, folder: Path, measured: Predictions) -> None:
    """`load_model` predicts paths, bytes and arrays, and maps resized pixels to logits; threads of torch stay."""
    threads = torch.get_num_threads()
    model = headrace.load_model(run, device="cpu")
    answers = model.predict(folder)
    assert torch.get_num_threads() == threads
    assert [answer.labels[0] for answer in answers] == measured.top_labels[:, 0].tolist()
    assert (model.class_names, model.size, model.crop) == (measured.origin.class_names, 32, 1.0)
    one = sorted(folder.iterdir())[5]
    (same,) = model.predict(one.read_bytes(), top_k=3)
    assert (same.labels, same.file) == (tuple(measured.top_labels[5, :3].tolist()), "image 0")
    with Image.open(one) as image:
        pixels = np.array(image)
    (array,) = model.predict([pixels])
    assert array.probabilities == pytest.approx(same.probabilities + array.probabilities[3:], abs=0.2)
    made = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    mean, std = normalisation_of("efficientnet-b0")
    with torch.no_grad():
        by_hand = model.network(((made.float() - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2))
    torch.testing.assert_close(model(made), by_hand, rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="expected RGB"):
        model.predict(pixels.astype(np.float32))
    with pytest.raises(UsageError, match="is a int"):
        model.predict([5])


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_no_table_begins_before_an_error(run: Path, tmp_path: Path, kind: str) -> None:
    """A checkpoint that is damaged is one line, without the head of a table before it."""
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes((run / "best.pt").read_bytes()[:1000])
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    refused(
        here("predict", damaged, tmp_path / "one.png", "--format", kind), 3, "damaged.pt", "not a readable checkpoint"
    )
