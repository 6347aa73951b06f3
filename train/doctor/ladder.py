"""Measures the ladder of a job: times its rungs (parts of the job) in turns, and combines the times over all ranks."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import fmean, median

from headrace.shards.cores import allowed_cores
from headrace.shards.streams import say
from headrace.train.doctor.asked import Asked, Kind, Part
from headrace.train.doctor.building import opened
from headrace.train.doctor.cores import Probe, cause_of, probe
from headrace.train.doctor.evicted import measure_cold
from headrace.train.doctor.job import Job
from headrace.train.doctor.measured import Cold, Cores, Measured, Network, Rung, Timed
from headrace.train.doctor.network import measure_network
from headrace.train.doctor.rungs import Rungs
from headrace.train.doctor.runners import WholeRunner
from headrace.train.doctor.shape import units_of
from headrace.train.doctor.turns import Runner, Turn, calibrate, over_ranks, take_turns
from headrace.train.machine.abort import one_of_many
from headrace.train.machine.device import Accelerator
from headrace.train.run.resolve import resolve

_FAST_READING = 4  # times the rate of the whole job; above it storage cannot be the bottleneck


def check_first(asked: Asked) -> None:
    """Check the request before the ranks are started; raise the errors that `measure` would raise on every rank."""
    setup = resolve(asked.request(), asked.processes)
    Accelerator.look().choose(setup.recipe.runtime.device, asked.processes)


def measure(asked: Asked, part: Part) -> Measured | None:
    """Make the measurement `part` of a job on all ranks; return None except on rank 0.

    Raises the errors of `opened` and of the input pipeline.
    """
    most = part.budget.seconds if part.kind is Kind.WHOLE else part.budget.turn
    with one_of_many(), opened(asked, most) as job, ExitStack() as stack:
        return climb(job, Rungs(job, stack), part)


def climb(job: Job, rungs: Rungs, part: Part) -> Measured | None:
    """Measure a job that is already built, on all ranks; return None except on rank 0."""
    network = None if part.kind is Kind.WHOLE else measure_network(job, part.budget.seconds)
    turns, seconds = _planned(job, rungs, part)
    rounds = part.budget.rounds(max(seconds[runner.rung] * runner.multiple for runner, _ in turns))
    if job.place.world.is_main:
        about = rounds * sum(max(length, seconds[runner.rung]) for runner, length in turns)
        say(f"doctor: {len(turns) - 1} rungs in {rounds} turns each, about {about:.0f} s", error=True)
    probes: list[Probe] = []
    rows = take_turns(turns, seconds, rounds, job.place, lambda: probes.append(_probe(job)))
    evicted = None
    if part.kind is Kind.COLD:
        (whole,) = (runner for runner, _ in turns if isinstance(runner, WholeRunner) and runner.rung is Rung.WHOLE)
        units = units_of(seconds[Rung.WHOLE], part.budget.turn, whole.multiple)
        evicted = measure_cold(job.place, job.shard_paths, whole, units, rounds)
    columns = [over_ranks(column, job.place) for column in zip(*rows, strict=True)]
    cores = _cores(job, probes)
    if cores is None:
        return None
    return _put_together(job, [runner.rung for runner, _ in turns], columns, cores, evicted, network)


def _planned(job: Job, rungs: Rungs, part: Part) -> tuple[list[Turn], dict[Rung, float]]:
    """Return the turns of a round, one for each rung, and the seconds that one unit (group or step) of each rung takes.

    In a round, the step alone (R_synth) is measured both before and after the whole job.
    """
    *others, step = rungs.step()
    whole, turn = rungs.whole(), part.budget.turn
    first: list[Runner] = [] if part.kind is Kind.WHOLE else [*rungs.input(), *rungs.mixed(), *others]
    seconds = {runner.rung: calibrate(runner, job.place) for runner in (*first, step, whole)}
    last: list[Runner] = [whole]
    if Rung.READ in seconds and seconds[Rung.READ] * _FAST_READING > seconds[Rung.WHOLE] / job.step.micro_batches:
        last.append(rungs.memory())
        seconds[Rung.MEMORY] = calibrate(last[-1], job.place)
    half = Turn(step, turn / 2)
    return [*(Turn(runner, turn) for runner in first), half, *(Turn(runner, turn) for runner in last), half], seconds


def _put_together(
    job: Job,
    names: Sequence[Rung],
    columns: Sequence[Timed | None],
    cores: Cores,
    cold: Cold | None,
    network: Network | None,
) -> Measured:
    """Make the result on rank 0 from the timings of all ranks.

    Each round times the step alone (R_synth) twice; the result contains the mean of both times.
    """
    timed: dict[Rung, list[Timed]] = {}
    for name, column in zip(names, columns, strict=True):
        if column is not None:
            timed.setdefault(name, []).append(column)
    before, after = timed[Rung.STEP]
    return Measured(
        job=job.facts(),
        rungs={name: mean_of(parts) for name, parts in timed.items()},
        before=before.rates,
        after=after.rates,
        cores=cores,
        cold=cold,
        network=network,
    )


def mean_of(parts: Sequence[Timed]) -> Timed:
    """Return the means, round by round, of several timings of the same rung."""
    mean = {
        name: tuple(fmean(turn) for turn in zip(*(getattr(part, name) for part in parts), strict=True))
        for name in ("rates", "cpu", "waited")
    }
    return Timed(**mean)


def _asked_for(job: Job) -> int:
    """Return the number of cores that this rank needs: one for each of its threads, up to the number available."""
    return min(job.place.threads, max(1, allowed_cores() // job.place.world.local_size))


def _probe(job: Job) -> Probe:
    """Measure the number of cores that this rank gets while all ranks compute."""
    job.place.world.any(flag=False)
    return probe(_asked_for(job))


def _cores(job: Job, probes: Sequence[Probe]) -> Cores | None:
    """Return how many cores all ranks of this machine got in total; None except on rank 0."""
    told = job.place.world.to_main(json.dumps(probes).encode())
    if not told:
        return None
    ranks = [[Probe(*values) for values in json.loads(text)] for text in told]
    got = tuple(sum(one.got for one in turn) for turn in zip(*ranks, strict=True))
    asked = _asked_for(job) * len(ranks)
    every = [one for rank in ranks for one in rank]
    return Cores(asked=asked, got=got, cause=cause_of(every, median(got) / asked))
