"""Shortens the steps and groups of a job so that its parts can be measured in the time of a turn."""

from typing import NamedTuple

_ROUNDS = 5
_FEWEST_ROUNDS = 3  # the fewest rounds with a median


class Budget(NamedTuple):
    """The time in seconds for measuring one rung."""

    seconds: float = 8.0

    @property
    def turn(self) -> float:
        """The seconds of one turn of the rung."""
        return self.seconds / _ROUNDS

    def rounds(self, longest: float) -> int:
        """Return how many rounds to measure if the longest turn takes `longest` seconds."""
        return _ROUNDS if longest <= self.turn else max(_FEWEST_ROUNDS, min(_ROUNDS, int(self.seconds / longest)))


class Shape(NamedTuple):
    """The number of samples in a group, and the number of groups in a step over all processes."""

    group: int
    groups: int


def fit(whole: Shape, processes: int, group_seconds: float, most: float) -> Shape:
    """Return the shape of the steps to measure, for a job whose group of `whole.group` samples takes `group_seconds`.

    The result is the job's own shape if a step takes at most `most` seconds. Otherwise steps have fewer groups, with
    the same number for each process. If even one group takes more than `most` seconds, groups are smaller too. The time
    per image stays nearly the same, because most of a long step is spent on its images and little on the update.
    """
    rounds = -(-whole.groups // processes)
    if rounds * group_seconds <= most:
        return whole
    if group_seconds <= most:
        return Shape(whole.group, int(most / group_seconds) * processes)
    fitting = max(2, int(whole.group * most / group_seconds))
    return Shape(min(whole.group, fitting), processes)


def units_of(unit_seconds: float, seconds: float, multiple: int) -> int:
    """Return the number of units in a turn of `seconds` seconds: a multiple of `multiple`, but not 0."""
    return max(1, round(seconds / unit_seconds / multiple)) * multiple
