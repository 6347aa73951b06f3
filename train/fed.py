"""A graph of DALI that is fed from plans, and what its errors mean."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from shards.errors import HeadraceError
from shards.shardset import Split
from train.batch import Plan
from train.decoding import blamed, unexplained

Made = TypeVar("Made")
Source = Callable[[], Any]
_NO_MEMORY = ("CUDA allocation failed", "Can't allocate", "cudaErrorMemoryAllocation", "out of memory")


class FedGraph(Generic[Made]):
    """Runs a graph on the inputs of plans.

    `build(source, max_batch, threads)` makes one that asks `source` for inputs, `inputs` are those of a plan, and `run`
    runs it and takes out what it made.
    """

    def __init__(
        self,
        split: Split,
        max_batch: int,
        threads: int,
        *,
        build: Callable[[Source, int, int], Any],
        inputs: Callable[[Plan], Any],
        run: Callable[[Any], Made],
    ) -> None:
        self._split, self._build, self._inputs, self._run = split, build, inputs, run
        self._ahead: deque[Plan] = deque()  # DALI asks for input ahead of the batch that it returns
        self._plans: Iterator[Plan] = iter(())
        self._graph = build(self._next_inputs, max_batch, threads)

    def run(self, plans: Iterator[Plan]) -> Iterator[tuple[Plan, Made]]:
        """Each plan with what the graph made of it, in order, in memory that DALI takes back for the next one."""
        self._plans = plans
        while True:
            try:
                made = self._run(self._graph)
            except StopIteration:
                self._graph.reset()
                return
            except RuntimeError as error:
                raise self._explain(error) from error
            yield self._ahead.popleft(), made

    def _next_inputs(self) -> Any:
        plan = next(self._plans)
        inputs = self._inputs(plan)
        self._ahead.append(plan)
        return inputs

    def _explain(self, error: RuntimeError) -> HeadraceError:
        """The user's error for one of DALI's, which names no sample: those in question are tried one by one."""
        if any(words in str(error) for words in _NO_MEMORY):  # trying again would blame a sample for it
            return HeadraceError(
                "the image pipeline ran out of GPU memory. Lower train.group, which changes what batch normalisation "
                "sees, or evaluate.batch, or set runtime.decode=cpu; the last checkpoint stays as it is"
            )
        for plan in self._ahead:
            for row, sample_id in enumerate(plan.ids.tolist()):
                if not self._succeeds(plan.one(row)):
                    return blamed(self._split, sample_id)
        return unexplained(error)

    def _succeeds(self, plan: Plan) -> bool:
        inputs = self._inputs(plan)
        try:
            self._build(lambda: inputs, 1, 1).run()
        except RuntimeError:
            return False
        return True
