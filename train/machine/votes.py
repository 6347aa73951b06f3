"""Makes ranks stop or save at the same step: each rank says after a step what it wants, and all learn the outcome."""

from collections.abc import Callable
from typing import NamedTuple

from headrace.train.machine.world import World


class Wishes(NamedTuple):
    """The wishes of a rank after a step: `stop` is the number of a signal to stop, or 0; `save` asks for a save."""

    stop: int = 0
    save: bool = False


class Votes:
    """Makes ranks stop or save at the same step, although signals reach them at different steps and clocks differ.

    After each step every rank passes its wishes to a reduction over ranks (the maximum) in main memory. The result is
    read one step later, so that no rank has to wait for the reduction.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: Callable[[], list[int]] | None = None

    def cast(self, wishes: Wishes) -> Wishes:
        """Cast this rank's wishes after this step; return the combined wishes of all ranks after the previous step.

        The result is the same on every rank.
        """
        if self._world.size == 1:
            return wishes
        heard = self.heard()
        self._pending = self._world.largest(wishes)
        return heard

    def heard(self) -> Wishes:
        """Return the ranks' combined wishes from the last `cast`; no wishes if these were returned already."""
        if self._pending is None:
            return Wishes()
        stop, save = self._pending()
        self._pending = None
        return Wishes(stop, bool(save))

    def now(self, wishes: Wishes) -> Wishes:
        """Cast this rank's wishes, and wait for the combined wishes of all ranks.

        Every rank must call this method at the same point of the run.
        """
        before, wishes = self.cast(wishes), self.heard() if self._world.size > 1 else wishes
        return Wishes(max(before.stop, wishes.stop), before.save or wishes.save)
