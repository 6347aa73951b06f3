"""Errors about files that torch does not load safely: they never repeat torch's advice to load unsafely."""

import io
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.shards.errors import DataError, UsageError
from headrace.train.checkpoint import files
from headrace.train.model.safe_load import safe_load
from headrace.train.model.weights import load_weights
from tests.train.model.test_weights import network


def saved(value: Any) -> bytes:
    """Return the bytes that torch.save writes."""
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def script() -> bytes:
    """Return a TorchScript archive."""
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), out)
    return out.getvalue()


CONTENTS = {
    "a path": saved({"model": Path("x")}),
    "a module": saved(torch.nn.Linear(2, 2)),
    "a bare pickle": pickle.dumps({"model": Path("x")}),
    "a page": b"<html>404 Not Found</html>",
    "nothing": b"",
    "a cut file": saved({"a": torch.zeros(9)})[:-40],
    "TorchScript": script(),
}
READERS: list[Callable[[Path], object]] = [files.load, lambda path: load_weights(network(), path)]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("read", READERS, ids=["checkpoint", "weights"])
def test_advice_to_load_unsafely_reaches_nobody(content: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    """The advice is neither in the user's line nor among its causes, which HEADRACE_DEBUG=1 shows."""
    path = tmp_path / "given.pt"
    path.write_bytes(CONTENTS[content])
    with pytest.raises((DataError, UsageError)) as caught:
        read(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert "given.pt" in str(caught.value)
    for advice in ("trusted source", "re-running", "allowlist", "to false", "=false", "safe_globals"):
        assert advice not in shown.lower(), shown


def test_what_is_foreign_is_named() -> None:
    """The error names the object that was not loaded."""
    with pytest.raises(ValueError, match=r"pathlib\.\w+ is neither a tensor nor a plain value"):
        safe_load(CONTENTS["a path"])
