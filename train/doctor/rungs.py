"""The rungs of a job, built: which there are, and from what each is made."""

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

from headrace.shards.shardset import Split
from headrace.train.doctor.held import Held
from headrace.train.doctor.job import Job
from headrace.train.doctor.measured import Rung
from headrace.train.doctor.runners import FeedRunner, PartRunner, StepRunner, WholeRunner
from headrace.train.doctor.turns import Runner
from headrace.train.input.assembly import Input
from headrace.train.input.decode.nvjpeg import NoNvjpegError
from headrace.train.input.decode.parts import Part
from headrace.train.input.plans import Plan
from headrace.train.run.process import computing_in

_FAR = 1 << 40  # steps: a stream that does not end
_HELD_GROUPS = 64  # whose files are held in memory
_HELD_BYTES = 1 << 28
_HELD_SECONDS = 2.0  # of reading them; one group is held in any case


@dataclass(frozen=True)
class Rungs:
    """Builds the rungs of a job; `stack` closes them."""

    job: Job
    stack: ExitStack

    def input(self) -> list[Runner]:
        """Those of the input, each of which does more than the one before."""
        made = self._made(self.job.plans.split)
        runner = self._fed(Rung.INPUT, made, 0)
        if self.job.decoded is not None:
            return [runner]
        on_gpu = self.job.place.accelerator.either(cpu=False, gpu=self.job.decode == "cpu")
        parts = (Part.READ, Part.DECODE, Part.COPY) if on_gpu else (Part.READ, Part.DECODE)
        return [*(self._part(part, made) for part in parts), runner]

    def mixed(self) -> list[Runner]:
        """The input with the decoder on the GPU, where it is not there already, and where DALI has that decoder."""
        if self.job.decoded is not None or self.job.decode == "mixed":
            return []

        def on_gpu() -> list[Runner]:
            try:
                made = self._made(self.job.plans.split, decode="mixed")
            except NoNvjpegError:
                return []
            return [self._fed(Rung.MIXED, made, 0)]

        return self.job.place.accelerator.either(cpu=list[Runner], gpu=on_gpu)()

    def step(self) -> list[Runner]:
        """The step on a resident batch, in the ways that differ here; the last is R_synth."""
        step, resident, world = self.job.step, self.job.resident, self.job.place.world
        found: list[Runner] = []
        facts = self.job.facts()
        if facts.threads < facts.usable and not facts.gpu:
            found.append(StepRunner(Rung.THREADS, step, resident, partial(computing_in, facts.usable)))
        if world.size > 1:
            alone = partial(world.accumulating, step.model, last=False)
            found.append(StepRunner(Rung.COMPUTE, step, resident, alone))
        return [*found, StepRunner(Rung.STEP, step, resident)]

    def whole(self) -> WholeRunner:
        """The step on real batches: other ones than the rungs before it have read."""
        steps = self.job.setup.steps
        fed = self._fed(Rung.INPUT, self._made(self.job.plans.split), steps.ends(0) // 2)
        return WholeRunner(Rung.WHOLE, self.job.step, self.job.resident, fed)

    def memory(self) -> WholeRunner:
        """The step on some real batches, over and over, whose files are held in memory."""
        job, held = self.job, Held(self.job.plans.split)
        plans, size, began = list[Plan](), 0, time.perf_counter()
        for plan in islice(job.plans.stream(0, _FAR, self._mine), _HELD_GROUPS):
            size += held.add(plan.ids)
            plans.append(plan)
            if size > _HELD_BYTES or time.perf_counter() - began > _HELD_SECONDS:
                break
        fed = FeedRunner(Rung.INPUT, self._made(held), cycle(plans), job.lanes)
        return WholeRunner(Rung.MEMORY, job.step, job.resident, self._closed(fed))

    @property
    def _mine(self) -> range:
        world = self.job.place.world
        return self.job.setup.steps.groups_of(world.size, world.rank)

    def _made(self, source: Split | Held, decode: str | None = None) -> Input:
        job = self.job
        decoded = job.decoded if isinstance(source, Split) else None
        return Input(source, job.setup.steps.group, job.place, decode=decode or job.decode, decoded=decoded)

    def _part(self, part: Part, made: Input) -> Runner:
        taken, plans = made.part(part), self.job.plans.stream(0, _FAR, self._mine)
        runner = PartRunner(Rung(part.value), taken, plans, self.job.lanes)
        self.stack.enter_context(closing(runner))
        return runner

    def _fed(self, rung: Rung, made: Input, first: int) -> FeedRunner:
        return self._closed(FeedRunner(rung, made, self.job.plans.stream(first, _FAR, self._mine), self.job.lanes))

    def _closed(self, runner: FeedRunner) -> FeedRunner:
        self.stack.enter_context(closing(runner))
        return runner
