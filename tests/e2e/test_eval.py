"""`headrace eval` by the command: any split, JSON, files, several processes, a run folder."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from headrace.shards.shardset import ShardSet
from headrace.train.record.metrics import Metrics
from headrace.train.record.predictions import Predictions
from tests.e2e.commands import SMALL, headrace, here, refused


@pytest.fixture(scope="module")
def run(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one short epoch."""
    out = tmp_path_factory.mktemp("eval") / "run"
    result = headrace("train", tiny_set, "--out", out, *SMALL)
    assert result.code == 0, result.stderr
    return out


def test_files_and_object_agree(run: Path, tiny_set: Path, tmp_path: Path) -> None:
    """A run folder is measured; JSON, the Parquet file, the table of mistakes and the matrix say the same."""
    result = here("eval", run, tiny_set, "--json", "--out", tmp_path / "out", "--device", "cpu")
    assert result.code == 0, result.stderr
    record, made = json.loads(result.stdout), Predictions.read(tmp_path / "out" / "validation.parquet")
    split = ShardSet.open(tiny_set)["val"]
    assert made.keys == split.keys
    assert made.labels.tolist() == split.labels.tolist()
    assert json.loads(json.dumps(Metrics.of(made).record(made))) == record
    assert (record["samples"], len(record["classes"]), record["split"]) == (120, 12, "val")
    with (tmp_path / "out" / "mistakes.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 120 - round(120 * record["top1"])
    assert [float(row["probability"]) for row in rows] == sorted(float(row["probability"]) for row in rows)[::-1]
    first = split[rows[0]["key"]]
    assert (first.label, rows[0]["source"]) == (int(rows[0]["label"]), split.sources[split.keys.index(first.key)])
    with (tmp_path / "out" / "confusion.csv").open(encoding="utf-8") as stream:
        table = list(csv.reader(stream))
    assert [sum(map(int, row[1:])) for row in table[1:]] == [one["samples"] for one in record["classes"]]
    assert Image.open(tmp_path / "out" / "sheet.png").width > 600


def test_run_leaves_what_eval_writes(run: Path, tiny_set: Path, tmp_path: Path) -> None:
    """The best evaluation of a run is in its folder, bit for bit as eval of its best.pt writes it."""
    result = here("eval", run, tiny_set, "--out", tmp_path / "out", "--device", "cpu", "--set=runtime.threads=1")
    assert result.code == 0, result.stderr
    assert (run / "validation.parquet").read_bytes() == (tmp_path / "out" / "validation.parquet").read_bytes()


def test_any_split_on_any_number_of_processes(run: Path, tiny_set: Path, tmp_path: Path) -> None:
    """The training split has its own figures; two processes find for each sample what one finds."""
    found = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        result = headrace(
            "eval", run, tiny_set, "--split=train", f"--nproc={processes}", "--out", out, "--set=runtime.threads=1"
        )
        assert result.code == 0, result.stderr
        assert "of 480 images of split train; weights after step" in result.stdout
        assert result.stdout.count("Test Acc") == 1
        found[processes] = Predictions.read(out / "validation.parquet")
    assert found[1].origin == found[2].origin
    assert found[1].keys == found[2].keys
    assert found[1].top_labels.tolist() == found[2].top_labels.tolist()
    assert found[1].losses.tolist() == pytest.approx(found[2].losses.tolist(), abs=1e-6)


def test_mistakes_of_the_user_are_one_line(run: Path, tiny_set: Path, tmp_path: Path) -> None:
    """A split that is not there, with one process or two, and a folder that cannot be made."""
    refused(here("eval", run, tiny_set, "--split=test"), 2, "no split 'test'", "train, val")
    refused(headrace("eval", run, tiny_set, "--split=test", "--nproc=2"), 2, "no split 'test'")
    refused(here("eval", tmp_path, tiny_set), 2, "best.pt", "RUN/last.pt")
    (tmp_path / "file").touch()
    refused(here("eval", run, tiny_set, "--out", tmp_path / "file" / "out"), 2, "not a folder")
