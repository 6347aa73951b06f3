import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.shards.errors import DataError, UsageError
from headrace.shards.order import Windows
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.fields import NETWORK
from headrace.train.checkpoint.progress import Progress
from headrace.train.recipe.recipe import Recipe, load_recipe
from headrace.train.run.request import Request
from headrace.train.run.resolve import open_run_folder, resolve

BASE = ("train.epochs=2", "train.global_batch=32", "train.group=16", "optim.lr=0.25")


@pytest.fixture
def request_(tiny_set: Path, tmp_path: Path) -> Request:
    """Return a valid request: the demo recipe on the tiny set, 480 samples in 15 steps of 2 groups."""
    return Request(tiny_set, "demo", BASE, out=tmp_path / "run")


def state(shards: Path, made_by: Recipe, **changes: Any) -> dict[str, Any]:
    """Return the state that a run of this recipe would save after 3 steps."""
    found = ShardSet.open(shards)
    return {
        "format": formats.FORMAT,
        "headrace": "0",
        "model": {"weight": torch.zeros(1)},
        "average": {},
        "optimizer": {},
        "scaler": {},
        "progress": Progress(step=3).state(),
        "recipe": made_by.model_dump(mode="json", exclude_none=True),
        "precision": "fp32",
        "classes": list(found.class_ids),
        "shard_set": found.digest,
        "network": NETWORK,
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "class_names": list(found.class_names),
        "world": {"processes": 1, "threads": 1},
        **changes,
    }


def saved(request: Request, step: int = 3, **changes: Any) -> Path:
    """Return the request's run folder with a checkpoint in it."""
    assert request.out is not None
    request.out.mkdir(exist_ok=True)
    recipe = load_recipe("demo", request.settings)
    files.save(request.out, state(Path(str(request.shards)), recipe, **changes), step, best=False, keep=9)
    return request.out


def refusal(request: Request, processes: int = 1, kind: type[Exception] = UsageError) -> str:
    """Return the error, which must be one line, after checking that nothing was written."""
    before = sorted(request.out.rglob("*")) if request.out else []
    with pytest.raises(kind) as caught:
        resolve(request, processes)
    assert "\n" not in str(caught.value)
    assert (sorted(request.out.rglob("*")) if request.out else []) == before
    return str(caught.value)


def test_sound_request_becomes_a_plan(request_: Request, tiny_set: Path) -> None:
    """The plan has the recipe with its settings and the steps of the set, and nothing is written yet."""
    setup = resolve(request_, 2)
    assert (setup.recipe.train.epochs, setup.steps.groups, setup.steps.ends(1)) == (2, 2, 30)
    assert (setup.shards.root, setup.out, setup.resumed) == (tiny_set, request_.out, None)
    assert not setup.out.exists()


def test_set_that_is_none(request_: Request, tmp_path: Path) -> None:
    """A missing folder, or one without a manifest, is refused with its path."""
    assert str(tmp_path / "gone") in refusal(replace(request_, shards=tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refusal(replace(request_, shards=tmp_path / "empty"))


def test_tar_of_another_size(request_: Request, tmp_path: Path) -> None:
    """A tar that lost a byte is reported as damaged before anything starts."""
    copy = Path(shutil.copytree(str(request_.shards), tmp_path / "copy"))
    tar = copy / "train-000003.tar"
    tar.write_bytes(tar.read_bytes()[:-1])
    assert "train-000003.tar" in refusal(replace(request_, shards=copy), kind=DataError)


def test_more_processes_than_groups(request_: Request) -> None:
    """The error gives the largest number of processes, and the effect of a smaller group."""
    said = refusal(request_, processes=3)
    assert "3 processes, but the global batch has only 2 groups" in said
    assert "start at most 2" in said


def test_batch_larger_than_the_set(request_: Request) -> None:
    """A step that would use a sample twice is refused with the number of samples."""
    said = refusal(replace(request_, settings=("train.global_batch=496",)))
    assert "train.global_batch = 496 is larger than the training split (480 samples)" in said


def test_batch_counted_by_the_process(request_: Request) -> None:
    """With batch_per_process the global batch grows with the processes, and nothing else changes."""
    setup = resolve(replace(request_, settings=("train.batch_per_process=20",)), 3)
    assert (setup.steps.global_batch, setup.steps.groups) == (60, 3)


def test_unknown_key_and_recipe(request_: Request) -> None:
    """Mistakes in the recipe are refused before anything starts."""
    assert "train.epoch: unknown key" in refusal(replace(request_, settings=("train.epoch=3",)))
    assert "neither a file nor a shipped recipe" in refusal(replace(request_, recipe="no-such"))


def test_weights_mean_init_from_a_file(request_: Request, tmp_path: Path) -> None:
    """--weights sets model.init to "file"."""
    assert resolve(replace(request_, weights=tmp_path / "w.pth"), 1).recipe.model.init == "file"


def test_weights_and_resume_exclude_each_other(request_: Request, tmp_path: Path) -> None:
    """A resumed run already has its weights."""
    both = replace(request_, resume="auto", weights=tmp_path / "w.pth")
    assert "give only one of them" in refusal(both)


def test_override_without_resume_is_not_ignored(request_: Request) -> None:
    """--override without --resume is an error, because there is no checkpoint to differ from."""
    assert "--override needs --resume" in refusal(replace(request_, override=("recipe",)))


def test_warm_up_longer_than_the_run(request_: Request) -> None:
    """A learning rate that never reaches its peak is an error that names both keys."""
    said = refusal(replace(request_, settings=("optim.warmup_epochs=3", "train.epochs=3")))
    assert "optim.warmup_epochs = 3 must be less than train.epochs = 3" in said


def test_folder_that_holds_a_run(request_: Request) -> None:
    """A second run never writes into the folder of another run."""
    saved(request_)
    assert "already holds a run. Continue that run with --resume" in refusal(request_)


def test_resume_takes_the_newest(request_: Request) -> None:
    """With --resume the run continues from its newest checkpoint, with the checkpoint's recipe."""
    saved(request_)
    setup = resolve(replace(request_, recipe=None, settings=(), resume="last"), 1)
    assert setup.resumed is not None
    assert (setup.resumed.progress.step, setup.recipe.train.epochs) == (3, 2)


def test_resume_without_checkpoint_is_no_fresh_start(request_: Request, tmp_path: Path) -> None:
    """A --resume without a checkpoint is an error in every form except `auto`."""
    assert "no checkpoint to resume from" in refusal(replace(request_, resume="last"))
    assert "gone.pt" in refusal(replace(request_, resume=str(tmp_path / "gone.pt")))
    assert "--resume without a path needs --out: add" in refusal(replace(request_, resume="last", out=None))
    assert resolve(replace(request_, resume="auto"), 1).resumed is None


def test_auto_resumes_where_it_can(request_: Request) -> None:
    """`auto` resumes if there is a checkpoint, and never starts a new run beside damaged ones."""
    folder = saved(request_)
    assert resolve(replace(request_, resume="auto"), 1).resumed is not None
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    assert "damaged" in refusal(replace(request_, resume="auto"), kind=DataError)


def test_other_classes(request_: Request) -> None:
    """A checkpoint for other classes is refused with the first different label."""
    names = list(ShardSet.open(request_.shards).class_ids)
    for classes, label in ((names[:-1], 11), ([*names[:4], "other", *names[5:]], 4)):
        shutil.rmtree(saved(request_))
        saved(request_, classes=classes, class_names=classes)
        said = refusal(replace(request_, resume="last"))
        assert f"trained on {len(classes)} classes" in said
        assert f"the first difference is at label {label}" in said


def test_other_shard_set(request_: Request) -> None:
    """Another set would change the order of samples, so it is refused with both digests unless it is overridden."""
    saved(request_, shard_set="f" * 64)
    asked = replace(request_, resume="last")
    said = refusal(asked)
    assert "digest ffffffffffffffff" in said
    assert "--override shards" in said
    setup = resolve(replace(asked, override=("shards",)), 1)
    assert setup.resumed is not None
    assert "accepted with --override shards" in setup.warnings[0]


def test_other_recipe(request_: Request) -> None:
    """A value that decides the result may not change within a run unless overridden; the error gives the difference."""
    saved(request_)
    asked = replace(request_, resume="last", settings=(*BASE, "optim.lr=0.5"))
    assert "optim.lr was 0.25, now 0.5" in refusal(asked)
    assert resolve(replace(asked, override=("recipe",)), 1).recipe.optim.lr == 0.5


def test_runtime_may_change_on_resume(request_: Request) -> None:
    """Threads, logging and other runtime keys do not decide the result."""
    saved(request_)
    asked = replace(request_, recipe=None, settings=("runtime.threads=1", "runtime.log_every=7"), resume="last")
    assert resolve(asked, 2).recipe.runtime.log_every == 7


def test_global_batch_never_changes_within_a_run(request_: Request) -> None:
    """Not even --override lets it change, because the steps of a checkpoint depend on it."""
    saved(request_)
    asked = replace(request_, resume="last", settings=(*BASE, "train.global_batch=64"))
    assert "cannot change within a run" in refusal(replace(asked, override=("recipe",)))


@pytest.mark.parametrize("progress", [{"step": 16}, {"step": 3, "epochs_done": 1}])
def test_step_outside_its_epoch(request_: Request, progress: dict[str, int]) -> None:
    """A checkpoint whose step is outside its epoch is refused as damaged."""
    saved(request_, progress=Progress(**progress).state())  # type: ignore[arg-type]
    assert "is not in epoch" in refusal(replace(request_, resume="last"), kind=DataError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("progress", {"step": 3}),
        ("progress", Progress(step=-1).state()),
        ("progress", Progress(best_accuracy=float("nan")).state()),
        ("recipe", {"train": {"epochs": 0}}),
        ("recipe", {"unknown": {}}),
    ],
)
def test_impossible_checkpoint(request_: Request, key: str, value: Any) -> None:
    """A checkpoint with impossible parts is one line about damaged data, not a traceback."""
    saved(request_, **{key: value})
    asked = replace(request_, recipe=None, settings=(), resume="last")
    assert str(request_.out) in refusal(asked, kind=DataError)


def test_earlier_checkpoint_beside_later_ones(request_: Request) -> None:
    """An earlier checkpoint of the same folder is refused with the latest one's name, to keep one history."""
    folder = saved(request_)
    early = (folder / "last.pt").resolve()
    saved(request_, step=9)
    asked = replace(request_, recipe=None, settings=(), resume=str(early))
    assert "holds later checkpoints" in refusal(asked)
    assert resolve(replace(asked, out=folder.parent / "other"), 1).resumed is not None


def test_run_folder_has_the_whole_recipe(request_: Request) -> None:
    """The folder has the resolved recipe, and reading it gives the same recipe."""
    setup = resolve(request_, 1)
    open_run_folder(setup)
    assert load_recipe(str(setup.out / "recipe.toml")).model_dump() == setup.recipe.model_dump()


def test_folder_that_cannot_be_made(request_: Request, tmp_path: Path) -> None:
    """A run folder below a file is a usage error."""
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match="cannot write there"):
        open_run_folder(resolve(replace(request_, out=tmp_path / "file" / "run"), 1))


def test_window_of_the_recipe_is_the_orders(tiny_set: Path) -> None:
    """`train.window` counts shards of the training split; without it the whole set is shuffled."""
    fits = ("train.global_batch=48", "train.group=24")
    setup, plain = (resolve(Request(tiny_set, "demo", more), 1) for more in ((*fits, "train.window=2"), fits))
    split = setup.shards.split("train")
    assert setup.order(split).windows == Windows(2, (96,) * 5)
    assert plain.order(split).windows is None
