"""Defines the errors of a healthy rank that cannot continue because another rank failed or is gone."""

from headrace.shards.errors import HeadraceError
from headrace.train.machine.rollcall import RollCall


class FailedElsewhereError(HeadraceError):
    """A healthy rank cannot continue because another rank failed; the failed rank prints the reason if it can."""


class LostRankError(FailedElsewhereError):
    """A collective failed because another rank did not join it.

    The message names the missing rank once it is known from the roll call, which each healthy rank answers.
    """

    def __init__(self, rank: int, minutes: float, cause: RuntimeError, roll: RollCall | None) -> None:
        super().__init__(rank, minutes, cause)
        self._roll = roll

    def __str__(self) -> str:
        rank, minutes, cause = self.args
        silent = self._roll.silent() if self._roll else []
        who = f"rank{'s'[: len(silent) - 1]} {', '.join(map(str, silent))}" if silent else "another rank"
        first = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return (
            f"rank {rank}: {who} ended, or kept rank {rank} waiting for {minutes:g} minutes (runtime.timeout_minutes). "
            f"The error of {who}, if printed, is above ({first})"
        )
