from pathlib import Path

import pytest

from headrace.train.record.callback import Callback, Callbacks
from headrace.train.record.moments import End
from tests.train.record.moments import Kept, end, report, tell_all


class Failing(Callback):
    """Cannot bear the end."""

    def on_end(self, _: End) -> None:
        """Raise."""
        raise ValueError("the first")


def test_each_is_told_everything_in_order(tmp_path: Path) -> None:
    """Several callbacks are as many alone."""
    one, other = Kept(), Kept()
    told = tell_all(Callbacks([one, other]), tmp_path)
    assert one.moments == other.moments == told


def test_methods_that_are_not_overridden_do_nothing(tmp_path: Path) -> None:
    """A callback needs only the methods that it is for."""
    tell_all(Callback(), tmp_path)
    tell_all(Callbacks([]), tmp_path)


def test_end_reaches_all_and_then_fails() -> None:
    """One that fails at the end does not keep it from the others, and is not passed over in silence."""
    kept = Kept()
    with pytest.raises(ValueError, match="the first"):
        Callbacks([Failing(), kept, Failing()]).on_end(end())
    assert kept.moments == [end()]


def test_moments_are_frozen() -> None:
    """No callback changes what the next is told."""
    with pytest.raises(AttributeError):
        report(1).epoch = 2  # type: ignore[misc]
