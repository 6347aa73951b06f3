"""Builds the rungs of a job, which are the parts of the job that the doctor times separately."""

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

_HELD_GROUPS = 64  # groups whose files are held in memory
_HELD_BYTES = 1 << 28
_HELD_SECONDS = 2.0  # limit for reading them; one group is held in any case


@dataclass(frozen=True)
class Rungs:
    """Builds the rungs of a job; closing `stack` ends the pipelines and threads of the rungs."""

    job: Job
    stack: ExitStack

    def input(self) -> list[Runner]:
        """Build the rungs of the input, such as reading and decoding; each includes the work of the one before it."""
        made = self._made(self.job.plans.split)
        runner = self._fed(Rung.INPUT, made, 0)
        if self.job.decoded is not None:
            return [runner]
        on_gpu = self.job.place.accelerator.either(cpu=False, gpu=self.job.decode == "cpu")
        parts = (Part.READ, Part.DECODE, Part.COPY) if on_gpu else (Part.READ, Part.DECODE)
        return [*(self._part(part, made) for part in parts), runner]

    def mixed(self) -> list[Runner]:
        """Return a list with the rung of the input that decodes on the GPU, or an empty list.

        The list is empty if the job already decodes on the GPU, if images are cached or if DALI lacks the decoder.
        """
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
        """Build the rungs of the step on one batch that stays on the device; the last rung gives R_synth.

        The other rungs are the step on all cores and the step without an exchange of gradients. Each of these two is
        built only if it differs from the last rung.
        """
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
        """Build the rung of the whole job: the step on real batches that no earlier rung has read."""
        steps = self.job.setup.steps
        fed = self._fed(Rung.INPUT, self._made(self.job.plans.split), steps.ends(0) // 2)
        return WholeRunner(Rung.WHOLE, self.job.step, self.job.resident, fed)

    def memory(self) -> WholeRunner:
        """Build the rung of the whole job without storage: it repeats a few batches whose files are held in memory."""
        job, held = self.job, Held(self.job.plans.split)
        plans, size, began = list[Plan](), 0, time.perf_counter()
        for plan in islice(job.stream(0), _HELD_GROUPS):
            size += held.add(plan.ids)
            plans.append(plan)
            if size > _HELD_BYTES or time.perf_counter() - began > _HELD_SECONDS:
                break
        fed = FeedRunner(Rung.INPUT, self._made(held), cycle(plans), job.lanes)
        return WholeRunner(Rung.MEMORY, job.step, job.resident, self._closed(fed))

    def _made(self, source: Split | Held, decode: str | None = None) -> Input:
        job = self.job
        decoded = job.decoded if isinstance(source, Split) else None
        interpolation = job.setup.recipe.augment.interpolation
        return Input(
            source,
            job.setup.steps.group,
            job.place,
            decode=decode or job.decode,
            decoded=decoded,
            interpolation=interpolation,
        )

    def _part(self, part: Part, made: Input) -> Runner:
        taken, plans = made.part(part), self.job.stream(0)
        runner = PartRunner(Rung(part.value), taken, plans, self.job.lanes)
        self.stack.enter_context(closing(runner))
        return runner

    def _fed(self, rung: Rung, made: Input, first: int) -> FeedRunner:
        return self._closed(FeedRunner(rung, made, self.job.stream(first), self.job.lanes))

    def _closed(self, runner: FeedRunner) -> FeedRunner:
        self.stack.enter_context(closing(runner))
        return runner
