"""What makes shards: processes of this machine (pool.py), or another engine with the same interface."""

from collections.abc import Callable, Iterator

from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Tick, Work

Engine = Callable[[list[Job], Work, int, Tick], Iterator[Record]]
"""Does jobs with so many workers; gives their records in the order in which they finish.

An error from `tick` ends the run. Raises HeadraceError for errors of a job that a user can act on.
"""
