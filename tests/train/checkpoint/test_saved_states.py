import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate import measure, trained
from headrace.train.machine.place import Place
from headrace.train.run.evaluation import evaluator_of
from tests.train.saved_states import GONE, Where, built, changed, refusal, resumed

LONG = pytest.mark.faults
Change = Callable[[Any], Any]


def nested(levels: int) -> Any:
    """Return a list in a list in a list."""
    return functools.reduce(lambda inner, _: [inner], range(levels), list[Any]())


def cyclic() -> list[Any]:
    """Return a list that contains itself."""
    made: list[Any] = []
    made.append(made)
    return made


class WithAttribute:
    """A dictionary, after unpickling, whose `items` cannot be called."""

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedDict, (), {"items": 5, "keys": 5, "get": 5}, None, iter([("a", 1)])


def first_set(number: float) -> Change:
    """Return the tensor with its first element replaced."""

    def change(old: Tensor) -> Tensor:
        made = old.clone()
        made[(0,) * old.ndim] = number
        return made

    return change


ODD: dict[str, Change] = {
    "missing": lambda _: GONE,
    "None": lambda _: None,
    "True": lambda _: True,
    "-1": lambda _: -1,
    "2**70": lambda _: 2**70,
    "10**5000": lambda _: 10**5000,
    "-1.5": lambda _: -1.5,
    "1e308": lambda _: 1e308,
    "nan": lambda _: float("nan"),
    "inf": lambda _: float("inf"),
    "text": lambda _: "\x1b[31m\nx",
    "long text": lambda _: "x" * 10**6,
    "list": lambda _: [],
    "table": lambda _: {},
    "tuple": lambda _: (1, "x"),
    "table of numbers": lambda _: {1: 2},
    "key that is a tuple": lambda _: {(1, 2): 3},
    "table with attributes": lambda _: WithAttribute(),
    "nested": lambda _: nested(50),
    "cyclic": lambda _: cyclic(),
    "set": lambda _: {1, 2},
    "bytes": lambda _: b"x",
    "complex": lambda _: 1j,
    "dtype": lambda _: torch.float32,
    "tensor": lambda _: torch.ones(2),
    "0-dim tensor": lambda _: torch.tensor(1.0),
    "complex tensor": lambda _: torch.ones(2, dtype=torch.complex64),
    "sparse tensor": lambda _: torch.eye(3).to_sparse(),
    "meta tensor": lambda _: torch.empty(2, device="meta"),
}
"""Values that no field of a checkpoint has."""

TENSORS: dict[str, Change] = {
    "0-dim": lambda _: torch.tensor(1.0),
    "one element": lambda _: torch.ones(1),
    "empty": lambda _: torch.ones(0),
    "one dimension more": lambda old: old[None],
    "one element more": lambda old: torch.ones(*old.shape[:-1], old.shape[-1] + 1) if old.ndim else torch.ones(2),
    "huge": lambda _: torch.ones(1).expand(2**40),
    "nan": first_set(float("nan")),
    "inf": first_set(float("-inf")),
    "float64 beyond float32": lambda old: first_set(1e300)(old.double()),
    "int64": lambda old: old.long(),
    "bool": lambda old: old.bool(),
    "float16": lambda old: old.half(),
    "bfloat16": lambda old: old.bfloat16(),
    "float8": lambda old: old.to(torch.float8_e4m3fn),
    "complex": lambda old: old.to(torch.complex64),
    "conjugated": lambda old: old.to(torch.complex64).conj(),
    "sparse": lambda old: old.to_sparse(),
    "compressed": lambda old: old.reshape(-1, 1).to_sparse_csr(),
    "meta": lambda old: old.to("meta"),
    "quantized": lambda old: torch.quantize_per_tensor(old, 0.1, 0, torch.qint8),
    "nested": lambda old: torch.nested.nested_tensor([old.flatten(), old.flatten()]),
    "parameter": torch.nn.Parameter,
    "storage": lambda old: old.untyped_storage(),
}
"""Tensors that a float tensor of a checkpoint may not become."""

NUMBERS: tuple[Where, ...] = (
    ("model", "_fc.weight"),
    ("model", "_bn0.running_var"),
    ("average", "_conv_stem.weight"),
    ("optimizer", "state", 0, "exp_avg"),
    ("optimizer", "state", 3, "exp_avg_sq"),
    ("optimizer", "state", 1, "step"),
)
"""Float tensors of each kind."""

FIELDS: tuple[Where, ...] = (
    *((key,) for key in formats.FIELDS[formats.FORMAT] if key not in ("headrace", "world")),
    *((key,) for key in formats.OPTIONAL[formats.FORMAT]),
    *NUMBERS,
    ("model", "_bn0.num_batches_tracked"),
    ("optimizer", "state"),
    ("optimizer", "state", 2),
    ("progress", "step"),
    ("progress", "epochs_done"),
    ("progress", "epoch_sums"),
    ("progress", "epoch_seconds"),
    ("progress", "best_accuracy"),
    ("recipe", "model"),
    ("recipe", "train", "epochs"),
    ("recipe", "train", "group"),
    ("recipe", "optim", "lr"),
    ("recipe", "augment", "crop_area"),
    ("classes", 3),
    ("class_names", 3),
    ("mean", 1),
    ("std", 1),
    ("network", "family"),
)
"""Each kind of field that a run reads. The version and the machine that wrote the file are not read."""

ALLOWED: tuple[tuple[Where, str], ...] = (
    (("average",), "table"),  # no average is kept: the weights begin one
    (("scaler",), "table"),  # nor one where precision needs no loss scale
    (("scaler",), "table of numbers"),
    (("scaler",), "table with attributes"),
    (("optimizer", "state", 1, "step"), "0-dim tensor"),
    (("recipe",), "table"),  # every value has a default
    (("recipe", "model"), "table"),
    (("recipe", "model"), "missing"),
    (("recipe", "train", "epochs"), "missing"),
    (("recipe", "train", "group"), "missing"),
    (("recipe", "optim", "lr"), "missing"),
    (("recipe", "optim", "lr"), "1e308"),
    (("recipe", "augment", "crop_area"), "missing"),
    (("size",), "missing"),
    (("crop",), "missing"),
    (("decode",), "missing"),  # an older file, as the next
    (("prepared",), "missing"),
    (("prepared",), "table"),  # every option has a default
    (("prepared",), "table of numbers"),  # keys of which no version is known
    (("class_names", 3), "text"),  # a name may be any
    (("class_names", 3), "long text"),
)
"""What is no wrong value."""


def cases() -> Iterator[tuple[Where, str, Change]]:
    """Yield (field, name of the change, change) for every wrong value."""
    for where in FIELDS:
        yield from ((where, name, change) for name, change in ODD.items() if (where, name) not in ALLOWED)
    for where in NUMBERS:
        alike = where[-1] == "step"
        yield from ((where, name, change) for name, change in TENSORS.items() if not (alike and name == "0-dim"))


def table() -> list[Any]:
    """Return the cases. Slow ones are left to the fault tests, except some of every kind."""
    return [
        pytest.param(where, change, id=f"{'.'.join(map(str, where))}: {name}", marks=() if place % 23 == 0 else LONG)
        for place, (where, name, change) in enumerate(cases())
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about the kinds of tensors that are made here
@pytest.mark.parametrize(("where", "change"), table())
def test_wrong_value_is_refused(
    sound: dict[str, bytes], tiny_set: Path, path: Path, where: Where, change: Change
) -> None:
    """An impossible value of any field is one line of damaged data that names the file."""
    path.write_bytes(changed(sound["adamw"], where, change))
    assert "given.pt" in refusal(lambda: resumed(tiny_set, path))


@pytest.mark.parametrize(
    ("optimizer", "where", "change", "words"),
    [
        ("adamw", ("model", "_bn0.running_var"), first_set(-1.0), "model._bn0.running_var has numbers below zero"),
        ("adamw", ("optimizer", "state", 2, "exp_avg_sq"), first_set(-1e-9), "2.exp_avg_sq has numbers below zero"),
        ("rmsprop", ("optimizer", "state", 2, "square_avg"), first_set(-1e-9), "2.square_avg has numbers below zero"),
        ("adamw", ("optimizer", "state", 2, "step"), first_set(-1.0), "2.step has numbers below zero"),
        ("adamw", ("optimizer", "state", 2, "step"), first_set(4.0), "step is 4, but the run has made only 3"),
        ("rmsprop", ("optimizer", "state", 2, "step"), first_set(1e30), "step is 1e+30, but the run has made only 3"),
        ("rmsprop", ("optimizer", "state", 2, "square_avg"), lambda _: GONE, "state.2 lacks 'square_avg'"),
        ("rmsprop", ("optimizer", "state", 2, "momentum_buffer"), lambda _: GONE, "lacks 'momentum_buffer'"),
        ("sgd", ("optimizer", "state", 2, "momentum_buffer"), lambda _: torch.tensor(1.0), "has shape ()"),
        ("sgd", ("optimizer", "state", 2), lambda old: {**old, "more": torch.ones(1)}, "state.2 has 'more'"),
        ("sgd", ("optimizer", "state"), lambda old: {**old, 999: old[0]}, "optimizer.state has 999"),
        ("sgd", ("optimizer", "state"), lambda _: {}, "empty, although the run has made 3 updates"),
        ("sgd", ("model",), lambda old: {**old, "more": old["_fc.bias"]}, "model has 'more'"),
        ("sgd", ("average", "_fc.bias"), lambda _: GONE, "average lacks '_fc.bias'"),
        (
            "sgd",
            ("progress",),
            lambda old: {**old, "more": 1},
            "a field that this version does not know, more",
        ),
        ("sgd", ("network",), lambda _: {"family": "keras"}, "a family that this version does not know, keras"),
        ("sgd", ("network",), lambda _: {"family": "timm"}, "of the family timm, but its recipe names efficientnet-b0"),
        ("sgd", ("network",), lambda old: {**old, "rates": []}, "a field that this version does not know, rates"),
        ("sgd", ("recipe", "train"), lambda old: {**old, "invented": 2}, "does not know, train.invented"),
        ("sgd", ("recipe", "model", "name"), lambda _: "keras/resnet50", "choice that this version does not know"),
        ("sgd", ("mean",), lambda _: [1.0, 2.0], "mean and std must each hold three numbers"),
        ("sgd", ("std", 2), lambda _: 0.0, "mean and std must each hold three numbers"),
        ("sgd", ("class_names",), lambda old: old[1:], "11 class names for 12 classes"),
        ("sgd", ("size",), lambda _: 31, "size is 31: Input should be greater than or equal to 32"),
        ("sgd", ("crop",), lambda _: 1.5, "crop is 1.5: Input should be less than or equal to 1"),
        ("sgd", ("prepared",), lambda old: {**old, "max_side": 0}, "max_side is 0: expected a number of pixels"),
        ("sgd", ("prepared", "quality"), lambda _: 101, "quality is 101: expected a number from 1 to 100"),
        ("sgd", ("prepared", "background"), lambda _: "#12", "background is '#12': expected one of white, black"),
        ("sgd", ("prepared",), lambda old: {**old, "sharpen": 1}, "a field that this version does not know, sharpen"),
        ("sgd", ("progress", "best_epoch"), lambda _: 1, "impossible progress"),
        ("sgd", ("progress", "epoch_sums"), lambda _: [1.0, 5, 4], "impossible progress"),
        ("sgd", ("progress", "epoch_sums"), lambda _: [10**18, 0, 0], "not a list of a float"),
        ("sgd", ("precision",), lambda _: "auto", "the checkpoint's precision is 'auto'"),
        ("sgd", ("format",), lambda _: True, "fields missing or of the wrong type: format"),
        ("sgd", ("recipe", "runtime"), lambda _: {"log_every": 10**15}, "runtime.log_every"),
        ("sgd", ("recipe", "optim", "ema_half_life"), lambda _: 2**62, "optim.ema_half_life"),
    ],
)
def test_impossible_state_is_named(
    sound: dict[str, bytes], tiny_set: Path, path: Path, optimizer: str, where: Where, change: Change, words: str
) -> None:
    """The line names impossible numbers of the right type, and missing or additional names."""
    path.write_bytes(changed(sound[optimizer], where, change))
    assert words in refusal(lambda: resumed(tiny_set, path))


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (("average", "_fc.weight"), "sparse"),
        (("average", "_fc.weight"), "0-dim"),
        (("average", "_fc.weight"), "nan"),
        (("average",), "table of numbers"),
        (("recipe",), "cyclic"),
        (("recipe", "model"), "tensor"),
        (("progress", "step"), "10**5000"),
        (("progress",), "missing"),
        (("precision",), "text"),
        (("classes",), "tensor"),
        (("classes", 3), "0-dim tensor"),
    ],
)
def test_eval_refuses_wrong_values(
    sound: dict[str, bytes],
    tiny_set: Path,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Where,
    name: str,
) -> None:
    """`headrace eval` refuses the values that it would read with the same words."""
    monkeypatch.setattr(trained, "build_model", lambda *_, **__: built())
    path.write_bytes(changed(sound["adamw"], where, (ODD | TENSORS)[name]))

    def evaluated() -> None:
        found = measure.Measurement.of(Checkpoint.of(files.load(path)), tiny_set, ("runtime.precision=auto",))
        place = Place.find(found.recipe.runtime)
        numerics = trained.own_numerics(found.checkpoint, found.recipe, place.accelerator)
        found.take(evaluator_of(found, place, numerics), place, numerics)

    assert "given.pt" in refusal(evaluated)
