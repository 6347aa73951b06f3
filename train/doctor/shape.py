"""How a job is cut so that its parts can be measured within their time: steps and groups that fit into a turn."""

from typing import NamedTuple

_ROUNDS = 5
_FEWEST_ROUNDS = 3  # of which there is a median


class Budget(NamedTuple):
    """The time of one rung."""

    seconds: float = 8.0

    @property
    def turn(self) -> float:
        """Seconds of one of its turns."""
        return self.seconds / _ROUNDS

    def rounds(self, longest: float) -> int:
        """How many rounds there are, if the longest turn takes so many seconds."""
        return _ROUNDS if longest <= self.turn else max(_FEWEST_ROUNDS, min(_ROUNDS, int(self.seconds / longest)))


class Shape(NamedTuple):
    """Samples of a group, and groups of a step over all processes."""

    group: int
    groups: int


def fit(whole: Shape, processes: int, group_seconds: float, most: float) -> Shape:
    """The shape of the steps that are measured, for a job whose group of `whole.group` samples takes so long.

    It is the job's own wherever a step takes at most `most` seconds. Else steps have fewer groups, as many for each
    process; and where one group alone takes longer, groups are smaller. An image then costs nearly the same: most of a
    step's time is that of its images, and where it is long its update is short beside it.
    """
    rounds = -(-whole.groups // processes)
    if rounds * group_seconds <= most:
        return whole
    if group_seconds <= most:
        return Shape(whole.group, int(most / group_seconds) * processes)
    fitting = max(2, int(whole.group * most / group_seconds))
    return Shape(min(whole.group, fitting), processes)


def units_of(unit_seconds: float, seconds: float, multiple: int) -> int:
    """How many units fill a turn of so many seconds: at least one, and a multiple of `multiple`."""
    return max(1, round(seconds / unit_seconds / multiple)) * multiple
