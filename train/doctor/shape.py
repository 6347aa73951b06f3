"""Shortens the steps and groups of a job, to measure each part of the job within seconds, in several short turns."""

from typing import NamedTuple

_ROUNDS = 5
_FEWEST_ROUNDS = 3  # the fewest rounds with a median


class Budget(NamedTuple):
    """The time in seconds for measuring one rung (a part of the job), in several rounds of one turn each."""

    seconds: float = 8.0

    @property
    def turn(self) -> float:
        """The seconds of one turn of the rung, which is its measurement in one round."""
        return self.seconds / _ROUNDS

    def rounds(self, longest: float) -> int:
        """Return how many rounds to measure if the longest turn takes `longest` seconds."""
        return _ROUNDS if longest <= self.turn else max(_FEWEST_ROUNDS, min(_ROUNDS, int(self.seconds / longest)))


class Shape(NamedTuple):
    """The number of samples in a group, and the number of groups in a step over all processes."""

    group: int
    groups: int


def fit(whole: Shape, processes: int, group_seconds: float, most: float) -> Shape:
    """Return the shape of the steps to measure, for a job with steps of shape `whole` and groups of `group_seconds`.

    The result is `whole` if a step of that shape takes at most `most` seconds. Otherwise steps have fewer groups, the
    same number for each process. If even one group takes more than `most` seconds, groups are smaller too. The time per
    image stays nearly the same, because most of a long step is spent on its images and little on the update.
    """
    rounds = -(-whole.groups // processes)
    if rounds * group_seconds <= most:
        return whole
    if group_seconds <= most:
        return Shape(whole.group, int(most / group_seconds) * processes)
    fitting = max(2, int(whole.group * most / group_seconds))
    return Shape(min(whole.group, fitting), processes)


def units_of(unit_seconds: float, seconds: float, multiple: int) -> int:
    """Return how many units (groups or steps) to run in a turn of about `seconds`: a multiple of `multiple` above 0."""
    return max(1, round(seconds / unit_seconds / multiple)) * multiple
