"""Ranks act at the same step: what each wishes for after a step, and how all hear of it."""

from collections.abc import Callable
from typing import NamedTuple

from headrace.train.machine.world import World


class Wishes(NamedTuple):
    """What a rank asks all to do after this step. `stop`: the signal that asks for it, or 0; `save`: a checkpoint."""

    stop: int = 0
    save: bool = False


class Votes:
    """Ranks get signals at different steps and have different clocks; this makes them act at the same step.

    Each step every rank casts its wishes as host integers. They are read one step later, so nobody waits for them.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: Callable[[], list[int]] | None = None

    def cast(self, wishes: Wishes) -> Wishes:
        """Cast this step's wishes; returns what any rank wished at the step before, the same on every rank."""
        if self._world.size == 1:
            return wishes
        heard = self.heard()
        self._pending = self._world.largest(wishes)
        return heard

    def heard(self) -> Wishes:
        """The outcome of the last cast; no wishes when there is none."""
        if self._pending is None:
            return Wishes()
        stop, save = self._pending()
        self._pending = None
        return Wishes(stop, bool(save))

    def now(self, wishes: Wishes) -> Wishes:
        """Cast and hear at once, where all ranks are at the same place anyway."""
        before, wishes = self.cast(wishes), self.heard() if self._world.size > 1 else wishes
        return Wishes(max(before.stop, wishes.stop), before.save or wishes.save)
