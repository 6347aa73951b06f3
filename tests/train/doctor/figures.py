"""Invented measurements of jobs, for tests of the doctor's conclusions."""

from typing import Any

from headrace.train.doctor.measured import Cause, Cold, Cores, Job, Measured, Network, Rung, Timed
from headrace.train.doctor.reading import Reading

ON_CPU = Job(
    shards="set",
    recipe="demo",
    model="efficientnet-b0",
    samples=1000,
    size=64,
    group=16,
    groups=2,
    processes=1,
    threads=2,
    usable=2,
    device="a processor",
    gpu=False,
    precision="fp32",
    decode="cpu",
    cached=False,
    cache_lacks="",
    shares_cores=True,
    remarks=(),
)
ON_GPU = ON_CPU.model_copy(update={"gpu": True, "shares_cores": False, "device": "a GPU", "threads": 4, "usable": 4})


def timed(rate: float, cpu: float = 100.0, waited: float = 0.0) -> Timed:
    """Return three equal turns."""
    return Timed(rates=(rate,) * 3, cpu=(cpu,) * 3, waited=(waited,) * 3)


def job_with(
    rungs: dict[Rung, Timed], job: Job = ON_CPU, got: float | None = None, cause: Cause = Cause.NONE, **more: Any
) -> Reading:
    """Return a reading of these rungs; without `got` the job has all cores that it requests."""
    cores = Cores(asked=job.threads, got=(float(job.threads) if got is None else got,) * 3, cause=cause)
    step = rungs[Rung.STEP].rates
    return Reading(Measured(job=job, rungs=rungs, before=step, after=step, cores=cores, **more))


def ladder(
    step: float, whole: float, *, waited: float = 0.0, cpu_step: float = 100.0, cpu_input: float = 50.0, **others: Timed
) -> dict[Rung, Timed]:
    """Return rungs of a job in which reading takes a tenth of the input's CPU time, and decoding half of it."""
    rungs = {
        Rung.READ: timed(10 * whole, cpu_input / 10),
        Rung.DECODE: timed(6 * whole, 0.6 * cpu_input),
        Rung.INPUT: timed(5 * whole, cpu_input),
        Rung.STEP: timed(step, cpu_step),
        Rung.WHOLE: timed(whole, cpu_step + cpu_input, waited),
    }
    return rungs | {Rung(name): one for name, one in others.items()}


def cold(rate: float, left: float | None = 0.0) -> Cold:
    """Return a cold set."""
    return Cold(timed=timed(rate, waited=0.5), files=2, bytes=1_000_000, left=left)


def network(rate: float, *, missed: float = 0.0, ahead: bool = True, epochs: int = 1) -> Network:
    """Return a network that delivers this many images of 100 kB a second."""
    return Network(images_per_second=rate, bytes_per_second=1e5 * rate, missed=missed, ahead=ahead, epochs=epochs)
