from pathlib import Path

import pytest

from headrace.train.record.callback import Callback, Callbacks
from headrace.train.record.moments import End
from tests.train.record.moments import Kept, end, report, tell_all


class Failing(Callback):
    """Fails at the end."""

    def on_end(self, _: End) -> None:
        """Raise an error."""
        raise ValueError("the first")


def test_each_is_told_everything_in_order(tmp_path: Path) -> None:
    """Each of several callbacks is told everything in order."""
    one, other = Kept(), Kept()
    told = tell_all(Callbacks([one, other]), tmp_path)
    assert one.moments == other.moments == told


def test_methods_that_are_not_overridden_do_nothing(tmp_path: Path) -> None:
    """A callback needs only the methods that it uses."""
    tell_all(Callback(), tmp_path)
    tell_all(Callbacks([]), tmp_path)


def test_end_reaches_all_and_then_fails() -> None:
    """A callback that fails at the end does not stop the others, and its error is raised."""
    kept = Kept()
    with pytest.raises(ValueError, match="the first"):
        Callbacks([Failing(), kept, Failing()]).on_end(end())
    assert kept.moments == [end()]


def test_moments_are_frozen() -> None:
    """A callback cannot change the moment that the next one gets."""
    with pytest.raises(AttributeError):
        report(1).epoch = 2  # type: ignore[misc]
