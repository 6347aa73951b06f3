import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.train.checkpoint import files
from headrace.train.record.epoch import EpochReport
from headrace.train.record.folder import RunLog
from tests.faults.runs import STEPS, arguments, assert_same_run, here, one_line


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A finished run of its own, that may be damaged."""
    return Path(shutil.copytree(undisturbed, tmp_path / "run", symlinks=True))


def newest_files(run: Path) -> list[Path]:
    """The checkpoints, the newest first."""
    return sorted((run / "checkpoints").iterdir(), key=lambda path: (path.name[:13], path.stat().st_mtime_ns))[::-1]


def break_file(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damaged_newest_is_reported_and_the_one_before_used(tiny_set: Path, undisturbed: Path, run: Path) -> None:
    """Resuming passes over damaged checkpoints with a warning that names them, and ends with the same bits."""
    for path in newest_files(run)[:2]:
        break_file(path)
    result = here(*arguments(tiny_set, run, "--resume", "auto"))
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.output.splitlines() if "damaged: its SHA-256" in line]
    assert len(warnings) == 2
    assert all(line.startswith("warning: ") and "using the checkpoint before it" in line for line in warnings)
    assert_same_run(undisturbed, run)


@pytest.mark.parametrize("mode", ["--resume", "--resume=auto"])
def test_all_damaged_is_no_fresh_start(tiny_set: Path, run: Path, mode: str) -> None:
    """With every checkpoint damaged the run is refused with 3; nothing is begun from scratch."""
    for path in newest_files(run):
        break_file(path)
    one_line(here(*arguments(tiny_set, run, mode)), 3, "damaged")


def test_resume_from_nowhere(tiny_set: Path, tmp_path: Path) -> None:
    """Without a checkpoint --resume and a wrong path are refused with 2; only auto starts afresh."""
    empty = tmp_path / "empty"
    one_line(here(*arguments(tiny_set, empty, "--resume")), 2, "no checkpoint to resume from")
    one_line(here(*arguments(tiny_set, empty, "--resume", str(tmp_path / "none.pt"))), 2, "none.pt")
    assert not empty.exists()


def test_folder_that_holds_a_run_is_not_begun_again(tiny_set: Path, run: Path) -> None:
    """Without --resume, and from an older checkpoint, a folder with later ones is refused: two runs would mix."""
    one_line(here(*arguments(tiny_set, run)), 2, "already holds a run", "--resume")
    oldest = newest_files(run)[-1]
    one_line(here(*arguments(tiny_set, run, "--resume", str(oldest))), 2, "holds later checkpoints")


def test_resume_from_a_path(tiny_set: Path, undisturbed: Path, run: Path, tmp_path: Path) -> None:
    """A checkpoint, or a run folder, can be gone on from in a new folder."""
    oldest = newest_files(run)[-1]
    result = here(*arguments(tiny_set, tmp_path / "new", "--resume", str(oldest)))
    assert result.exit_code == 0, result.output
    first, second = (files.load(folder / "last.pt").state["model"] for folder in (undisturbed, tmp_path / "new"))
    assert all(torch.equal(first[name], second[name]) for name in first if "num_batches" not in name)
    result = here(*arguments(tiny_set, tmp_path / "newer", "--resume", str(run)))
    assert result.exit_code == 0, result.output
    assert "this run is finished" in result.output


def test_other_recipe_is_refused_unless_overridden(tiny_set: Path, run: Path) -> None:
    """A changed value is refused with what it was and is; --override recipe accepts it, and says so."""
    given = arguments(tiny_set, run, "--resume", optim__lr=0.5, train__epochs=2)
    one_line(here(*given), 2, "optim.lr was 0.003, now 0.5", "train.epochs was 1, now 2", "--override recipe")
    result = here(*given, "--override", "recipe")
    assert result.exit_code == 0, result.output
    assert "(accepted with --override recipe)" in result.output
    assert files.load(run / "last.pt").state["progress"]["step"] == 2 * STEPS


def test_other_global_batch_is_refused(tiny_set: Path, run: Path) -> None:
    """What decides the step that a checkpoint is of cannot be overridden."""
    given = arguments(tiny_set, run, "--resume", "--override", "recipe", train__global_batch=24)
    one_line(here(*given), 2, "train.global_batch was 48, now 24")


def test_other_shard_set_is_refused_unless_overridden(tiny_zip: Path, run: Path, tmp_path: Path) -> None:
    """Another set is refused with both digests; --override shards accepts one with the same classes."""
    other = tmp_path / "other"
    prep(tiny_zip, other, Options(samples_per_shard=60), workers=1, if_exists="error", say=print)
    given = arguments(other, run, "--resume", "--override", "recipe", train__epochs=2)
    one_line(here(*given), 2, "digest", "--override shards")
    result = here(*given, "--override", "shards")
    assert result.exit_code == 0, result.output


def test_other_classes_are_refused(tiny_zip: Path, run: Path, tmp_path: Path) -> None:
    """Another number of classes is refused whatever is overridden."""
    other = tmp_path / "other"
    prep(tiny_zip, other, Options(classes=6), workers=1, if_exists="error", say=print)
    given = arguments(other, run, "--resume", "--override", "shards", "--override", "classes")
    one_line(here(*given), 2, "trained on 12 classes", "has 6")


def test_pickle_in_a_checkpoint_is_not_run(tiny_set: Path, tmp_path: Path) -> None:
    """A file that would run code when it is unpickled is refused, and its code does not run."""
    trap, sign = tmp_path / "trap.pt", tmp_path / "sign"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (sign,))

    torch.save({"format": 1, "model": Trap()}, trap)
    one_line(here(*arguments(tiny_set, tmp_path / "run", "--resume", str(trap))), 3, "trap.pt")
    trap.write_bytes(pickle.dumps(Trap()))
    one_line(here(*arguments(tiny_set, tmp_path / "run", "--resume", str(trap))), 3, "trap.pt")
    assert not sign.exists()


def test_tensor_of_another_shape_ends_with_3(tiny_set: Path, run: Path, tmp_path: Path) -> None:
    """A quantity without dimensions, which a fused optimizer would read beyond, is one line for the command."""
    state = files.load(newest_files(run)[-1]).state
    state["optimizer"]["state"][0]["exp_avg"] = torch.tensor(1.0)
    torch.save(state, tmp_path / "given.pt")
    given = arguments(tiny_set, tmp_path / "new", "--resume", str(tmp_path / "given.pt"))
    one_line(here(*given), 3, "given.pt", "optimizer.state.0.exp_avg has shape ()")


@pytest.mark.faults
def test_keeps_the_newest_and_the_best(tiny_set: Path, tmp_path: Path) -> None:
    """runtime.keep_checkpoints says how many of the newest stay; what best.pt points at stays besides."""
    out = tmp_path / "run"
    assert here(*arguments(tiny_set, out, train__epochs=2, runtime__keep_checkpoints=1)).exit_code == 0
    kept = {path.name for path in (out / "checkpoints").iterdir()}
    assert kept == {(out / link).resolve().name for link in ("last.pt", "best.pt")}


def test_saves_by_the_clock(tiny_set: Path, tmp_path: Path) -> None:
    """runtime.checkpoint_minutes saves when so much time has passed, once a step; a save has its pause and size."""
    out = tmp_path / "run"
    given = arguments(tiny_set, out, runtime__checkpoint_steps=None, runtime__checkpoint_minutes=1e-6)
    assert here(*given).exit_code == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    saves = [row for row in rows if row["kind"] == "save"]
    assert [row["step"] for row in saves] == list(range(1, STEPS + 1))
    assert all(row["seconds"] > 0 and row["bytes"] > 0 for row in saves)


def test_killed_between_epoch_line_and_save(
    tiny_set: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch whose line was written but whose end was not saved has one line after the resume, not two."""
    out, epoch = tmp_path / "run", RunLog.epoch

    def killed(self: RunLog, report: EpochReport) -> None:
        epoch(self, report)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunLog, "epoch", killed)
        assert here(*arguments(tiny_set, out)).exit_code == 130
    assert len((out / "epochs.csv").read_text().splitlines()) == 2
    assert here(*arguments(tiny_set, out, "--resume")).exit_code == 0
    assert len((out / "epochs.csv").read_text().splitlines()) == 2
    assert_same_run(undisturbed, out)
