"""Prints the last lines of a run: whether the input was the bottleneck, and the result."""

from headrace.shards.cores import usable_cores
from headrace.shards.counts import counted
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.progress import Progress
from headrace.train.input.batch import Batch
from headrace.train.machine.place import Place
from headrace.train.record.bottleneck import Verdict, ceiling, sharing
from headrace.train.run.loop import Run
from headrace.train.run.resolve import Setup
from headrace.train.step.rate import StepRate, count_for, synthetic_rate


def conclude(run: Run, setup: Setup, place: Place, resident: Batch) -> None:
    """Print the last lines of a run: the bottleneck, the memory used, the best accuracy, and the run folder."""
    last = run.world.from_main(run.log.last_epoch())
    real, stall = (last.get(key) or 0.0 for key in ("images_per_second", "stall_percent"))
    if setup.recipe.runtime.verdict and real > 0:
        step_seconds = setup.steps.global_batch / real
        count = count_for(step_seconds)
        run.log.say(f"verdict  running the step alone for about {(count + 1) * step_seconds:.1f} s")
        synthetic = synthetic_rate(run.step, resident, run.progress.step, count)
        most = _ceiling(place, run.cpu_seconds, synthetic)
        verdict = Verdict(real, synthetic.images_per_second, stall, most, run.fetching)
        run.log.verdict(run.progress.step, verdict)
    if used := run.step.accelerator.memory():
        gib = [f"{number / 2**30:.1f}" for number in (used.peak, used.others, used.total)]
        run.log.say(f"memory: at most {gib[0]} GiB in tensors, {gib[1]} GiB held by decoder and others, of {gib[2]}")
    if until := setup.recipe.train.until:
        reached = "reached" if run.progress.best_accuracy >= until else "not reached"
        run.log.say(
            f"{until:g} % {reached} after {run.progress.seconds:.1f} s from the first batch, evaluations included"
        )
    run.log.say(f"{_best_line(setup, run.progress)}; results are in {setup.out}")


def _ceiling(place: Place, cpu_seconds: float | None, synthetic: StepRate) -> float:
    """Return the largest possible ratio of the run's rate to the rate of the step alone on this machine.

    `cpu_seconds` is the CPU time per image in the last epoch, for step and input together.
    """
    if cpu_seconds is None:
        return 1.0
    processes = place.world.local_size
    shared = place.accelerator.either(cpu=sharing(place.threads, processes, usable_cores()), gpu=False)
    return ceiling(synthetic.cpu_seconds, cpu_seconds - synthetic.cpu_seconds, shared=shared)


def finished_line(setup: Setup, resumed: Checkpoint) -> str:
    """Return the line that is printed if the resumed run is already finished."""
    progress, train = resumed.progress, setup.recipe.train
    bound = f"train.epochs = {train.epochs}"
    if progress.epochs_done < train.epochs:
        bound = f"train.until = {train.until:g} %"
    return (
        f"this run is finished: {resumed.path} is of epoch {progress.epochs_done}, with {bound}. "
        f"{_best_line(setup, progress)}. To continue training, change {bound.split()[0]} with --set and add "
        "--override recipe"
    )


def _best_line(setup: Setup, progress: Progress) -> str:
    """Return a phrase with the best validation accuracy, compared with chance."""
    classes = len(setup.shards.class_ids)
    return (
        f"best validation accuracy {progress.best_accuracy:.2f}% in epoch {progress.best_epoch} "
        f"({counted(classes, 'class', 'classes')}, chance is {100 / classes:.2f}%)"
    )
