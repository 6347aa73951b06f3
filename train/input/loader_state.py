"""Makes and checks the state of a `Loader`: a step, and the arguments that a loader must have to load the state."""

from collections.abc import Mapping
from typing import Any

from headrace.shards.errors import DataError, NewerError, UsageError

FORMAT = 1
_BEFORE = {"partitions": 1, "interpolation": "bilinear"}
"""Keys that states of earlier versions of Headrace lack, and the only values that those versions supported."""


def state_of(step: int, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a loader at a step, in plain values. The state takes less than 1 kB."""
    return {"format": FORMAT, "step": step, **identity}


def step_in(state: Mapping[str, Any], identity: Mapping[str, Any]) -> int:
    """Return the step in a state; `identity` has the loader's arguments that must be the same as in the state.

    Raises UsageError if the state was made with other arguments; the error names each argument that differs. Raises
    DataError if `state` is not a loader's state, and NewerError if a later version wrote the state.
    """
    kind, step = state.get("format"), state.get("step")
    if isinstance(kind, int) and kind > FORMAT:
        raise NewerError.of("the state of a Loader", f"it has format {kind}, but this version reads format {FORMAT}")
    state = {**_BEFORE, **state}
    unknown = sorted(state.keys() - {"format", "step", *identity})
    if kind == FORMAT and unknown:
        raise NewerError.of("the state of a Loader", f"it has a field that this version does not know, {unknown[0]}")
    if kind != FORMAT or not isinstance(step, int) or step < 0:
        raise DataError(
            f"not the state of a Loader: expected the result of state_dict(), with format {FORMAT} and a step of at "
            f"least 0, but the format is {kind!r} and the step is {step!r}"
        )
    other = [
        f"{name} is {value!r}, but the state has {state.get(name)!r}"
        for name, value in identity.items()
        if state.get(name) != value
    ]
    if other:
        raise UsageError(
            f"the state was saved by a Loader with other arguments: {'; '.join(other)}. Give this Loader the saved "
            "arguments. To continue with other arguments on purpose, make a new Loader and call seek(state['step'])"
        )
    return step
