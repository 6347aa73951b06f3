from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
import torch
from torch import nn

from headrace.shards.errors import UsageError
from headrace.train.checkpoint import files
from headrace.train.checkpoint.progress import Progress
from headrace.train.checkpoint.saver import Saver
from headrace.train.machine.device import Accelerator
from headrace.train.record.attempts import Attempt
from headrace.train.step.tally import NotFiniteError
from tests.train.checkpoint.made_files import STATE

ALWAYS, NEVER = 0.0, 1e6
SECONDS = 1.0


class Trained:
    """A network with a separate average, momenta, and every kind of memory that states have."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        self.update()

    def update(self) -> None:
        """Make one update."""
        self.network(torch.ones(2, 3, 8, 8)).square().sum().backward()
        self.optimizer.step()

    def states(self) -> dict[str, Any]:
        """Return states like `restore.state_of`, with tensors that share a storage and one without elements."""
        whole = torch.arange(12.0)
        tied = {"whole": whole, "part": whole[3:9].view(2, 3).T, "none": torch.empty(0), "other": torch.empty(0)}
        return {
            "model": self.network.state_dict(),
            "average": tied,
            "optimizer": self.optimizer.state_dict(),
            "scaler": {},
        }


def saver(out: Path, beside_mb: float, trained: Trained | None = None) -> Saver:
    """Return the saver of a run that has not saved yet."""
    out.mkdir()
    about = {key: value for key, value in STATE.items() if key not in ("model", "average", "optimizer", "scaler")}
    about = {key: value for key, value in about.items() if key not in ("format", "headrace", "progress")}
    states = (trained or Trained()).states
    return Saver(out, 3, about, states, True, Accelerator(None), beside_mb, Attempt(), "")


def test_file_is_that_of_a_save_that_is_waited_for(tmp_path: Path) -> None:
    """A checkpoint saved during training has the same bytes as one that is waited for, also the second one."""
    trained = Trained()
    both = [saver(tmp_path / name, beside, trained) for name, beside in (("at once", NEVER), ("beside", ALWAYS))]
    for step in (1, 2):
        for one in both:
            one(Progress(step), best=step == 2)
            one.done(wait=True)
        trained.update()
    written = [{path.name: path.read_bytes() for path in (one.out / "checkpoints").iterdir()} for one in both]
    assert len(written[0]) == 2
    assert written[0] == written[1]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Delay writing until this event is set."""
    go, save = Event(), files.save

    def later(*given: Any, **named: Any) -> files.Written:
        assert go.wait(60)
        return save(*given, **named)

    monkeypatch.setattr(files, "save", later)
    return go


def test_training_goes_on_meanwhile(tmp_path: Path, held: Event) -> None:
    """Updates before the file is written do not change its content."""
    trained = Trained()
    before = {name: value.clone() for name, value in trained.network.state_dict().items()}
    one = saver(tmp_path / "run", ALWAYS, trained)
    one(Progress(1), best=False)
    assert one.done() is None
    trained.update()
    held.set()
    saved = one.done(wait=True)
    assert saved is not None
    assert (saved.step, saved.path.resolve()) == (1, (tmp_path / "run" / "last.pt").resolve())
    torch.testing.assert_close(files.load(saved.path).state["model"], before, rtol=0, atol=0)
    assert one.done() is None


def test_seconds_of_a_save_count_the_wait_for_it(tmp_path: Path, held: Event) -> None:
    """The seconds of a save include the wait for an earlier save."""
    one = saver(tmp_path / "run", ALWAYS)
    one(Progress(1), best=False)
    Timer(SECONDS, held.set).start()
    saved = one.done(wait=True)
    assert saved is not None
    assert saved.seconds > SECONDS / 2


def test_end_of_the_run_waits(tmp_path: Path, held: Event) -> None:
    """However the run ends, a save that has begun is completed, and the run's own error is raised."""
    with pytest.raises(ZeroDivisionError):
        _fail_while_it_saves(saver(tmp_path / "run", ALWAYS), held)
    assert files.newest(tmp_path / "run").stored.state["progress"]["step"] == 1


def _fail_while_it_saves(one: Saver, held: Event) -> None:
    with one:
        one(Progress(1), best=False)
        held.set()
        raise ZeroDivisionError


@pytest.mark.parametrize("beside_mb", [NEVER, ALWAYS])
def test_error_is_the_same(tmp_path: Path, beside_mb: float) -> None:
    """A failed write ends the run with the same words, by `done` at the latest."""
    one = saver(tmp_path / "run", beside_mb)
    (tmp_path / "run" / "checkpoints").write_text("no folder")
    words = r"is a file, not a folder\. .* The earlier checkpoints are intact: solve this problem, then resume"
    with pytest.raises(UsageError, match=words):
        _save(one)


def _save(one: Saver) -> None:
    one(Progress(1), best=False)
    one.done(wait=True)


@pytest.mark.parametrize("beside_mb", [NEVER, ALWAYS])
def test_weights_are_looked_at_first(tmp_path: Path, beside_mb: float) -> None:
    """Weights that are not finite are refused during training, and nothing is written."""
    trained = Trained()
    trained.network.state_dict()["0.weight"].fill_(float("nan"))
    one = saver(tmp_path / "run", beside_mb, trained)
    with pytest.raises(NotFiniteError):
        one(Progress(1), best=False)
    assert one.done(wait=True) is None
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_best_is_remembered(tmp_path: Path) -> None:
    """Each checkpoint records the best one so far, and the links are set again at the end."""
    one = saver(tmp_path / "run", ALWAYS)
    said = []
    for step, best in ((1, False), (2, True), (3, False)):
        one(Progress(step), best=best)
        saved = one.done(wait=True)
        assert saved is not None
        said.append((saved.path.name, files.load(saved.path).state["best"]))
    assert [best for _, best in said] == ["", "this", said[1][0]]
    (tmp_path / "run" / "best.pt").unlink()
    one.end()
    assert (tmp_path / "run" / "best.pt").resolve().name == said[1][0]
