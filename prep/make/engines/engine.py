"""Defines the interface of an engine, which makes shards: in processes of this machine (pool.py), or with Ray."""

from collections.abc import Callable, Iterator

from headrace.prep.make.planned import Job
from headrace.prep.make.record import Record
from headrace.prep.make.shard import Tick, Work

Engine = Callable[[list[Job], Work, int, Tick], Iterator[Record]]
"""A function that makes shards, one for each job, with a number of workers.

It yields the record (the result) of a job when its shard is finished. It reports its progress to the Tick function;
an error that the Tick function raises ends the run. Raises HeadraceError if a job fails for a reason that a user can
act on.
"""
