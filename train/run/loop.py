"""Runs the training loop: epochs of steps, with an evaluation and a checkpoint after each epoch."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from headrace.shards.order import Steps
from headrace.train.checkpoint.progress import Progress
from headrace.train.checkpoint.saver import Saver
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.evaluate.scores import Scores
from headrace.train.input.batch import Batch
from headrace.train.input.feed import Feed
from headrace.train.machine.memory import device_memory, peak_resident
from headrace.train.machine.signals import StoppedError, StopRequest
from headrace.train.machine.votes import Votes, Wishes
from headrace.train.machine.world import World
from headrace.train.model.network import Network
from headrace.train.record.ahead import Ahead
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochPart, EpochReport
from headrace.train.record.folder import RunLog
from headrace.train.record.moments import Saved, StepLogged
from headrace.train.record.sums import NOTHING
from headrace.train.run.clock import EpochClock, Interval
from headrace.train.step.tally import LossRing, Tally
from headrace.train.step.update import TrainStep

Keeper = Callable[[Scores], Callable[[Saved], None]]
"""A function that takes the scores of the best evaluation so far, and returns a second function, which writes them.

The second function is called after the checkpoint with the evaluated weights is saved. Written scores are therefore
always the scores of a saved checkpoint.
"""


@dataclass
class Run:
    """All parts of a training run, as the training loop uses them."""

    steps: Steps
    epochs: int
    until: float | None
    feed: Feed
    batches: Iterator[Batch]  # from the feed
    step: TrainStep
    evaluate: Evaluator
    progress: Progress
    losses: LossRing
    log: RunLog
    told: Callback  # all callbacks; none on ranks other than 0
    stop: StopRequest
    world: World
    checkpoint_steps: int | None
    interval: Interval  # between checkpoints
    silence: Interval  # between lines in a long epoch
    save: Saver
    traced: Callable[[], None]  # called after each step
    thaw: Callable[[], None]  # trains the whole network from now on
    keep: Keeper
    once_saved: Callable[[Saved], None] | None = None  # called once the epoch's checkpoint is on the disk
    fetching: float = 0.0  # percent of the last epoch's time in which the step waited for shards being fetched
    cpu_seconds: float | None = None  # of this rank, per image, in the last epoch; None before the first ends

    @property
    def measured(self) -> Network:
        """The network to evaluate: with averaged weights if the recipe keeps an average, otherwise the trained one."""
        return self.step.average.network if self.step.average else self.step.network


def fit(run: Run) -> None:
    """Train until the last epoch ends or the target accuracy is reached.

    Raises StoppedError, after saving, if a signal stops the run.
    """
    votes = Votes(run.world)
    run.stop.something_to_save = True
    for epoch in range(run.progress.epochs_done, run.epochs):
        if run.until is not None and run.progress.best_accuracy >= run.until:
            break
        clock = EpochClock(run.feed, run.progress.epoch_seconds, run.progress.epoch_stalled)
        tally = Tally(run.step.accelerator, run.progress.epoch_sums if run.world.is_main else NOTHING)
        first = run.progress.step
        run.log.console.begin_epoch(ahead(run, epoch))
        while run.progress.step < run.steps.ends(epoch):
            if run.step.frozen and run.progress.step >= run.step.thaws_at:
                run.thaw()
            run.step(run.progress.step, run.batches, tally, run.losses)
            run.progress.step += 1
            run.log.console.advance()
            run.stop.beat()
            run.traced()
            if run.losses.full:
                log_steps(run, clock)
            wished = votes.cast(wishes(run))
            if wished.stop:
                stop(run, clock, tally, wished)
            tell_saved(run)
            due = wished.save or (run.checkpoint_steps and run.progress.step % run.checkpoint_steps == 0)
            if due and run.progress.step < run.steps.ends(epoch):  # the end of the epoch saves anyway
                save_unfinished(run, clock, tally)
        images = (run.progress.step - first) * run.step.micro_batches * run.steps.group
        run.cpu_seconds = clock.cpu_seconds / images if images else None
        finish_epoch(run, clock, tally, votes)
    votes.heard()
    tell_saved(run, wait=True)
    run.stop.something_to_save = False


def ahead(run: Run, epoch: int) -> Ahead:
    """Return the counts of epochs and steps that the progress bar needs when `epoch`, counted from 0, starts."""
    before, end = run.steps.ends(epoch - 1), run.steps.ends(epoch)
    later = run.steps.ends(run.epochs - 1) - end
    return Ahead(epoch + 1, run.epochs, end - before, run.progress.step - before, later, run.steps.global_batch)


def wishes(run: Run) -> Wishes:
    """Return whether a signal asks this rank to stop, and on rank 0 also whether a save is due by rank 0's clock."""
    return Wishes(run.stop.number, run.world.is_main and run.interval.over)


def cut_short(stop: StopRequest) -> bool:
    """Return whether a signal has asked the run to stop.

    An evaluation calls this function at each batch, and ends early if the function returns true.
    """
    stop.beat()
    return bool(stop.number)


def stop(run: Run, clock: EpochClock, tally: Tally, wished: Wishes) -> None:
    """Save the unfinished epoch, then end the run with the signal that all ranks have agreed on."""
    save_unfinished(run, clock, tally)
    tell_saved(run, wait=True)
    raise StoppedError(wished.stop)


def log_steps(run: Run, clock: EpochClock) -> None:
    """Log the losses of the last steps. Within an epoch, only this function waits for numbers from the device."""
    losses = run.losses.read(run.world)
    if not losses:
        return
    last, _ = losses[-1]
    values = tuple(loss for _, loss in losses)
    logged = StepLogged(last + 1, values, run.step.schedule.rate(last), clock.read())
    run.log.step(logged)
    run.told.on_step_logged(logged)
    if run.silence.over:
        say_how_far(run, logged)


def say_how_far(run: Run, logged: StepLogged) -> None:
    """Print a line about the progress within a long epoch."""
    epoch = run.progress.epochs_done
    before = run.steps.ends(epoch - 1)
    done, steps = logged.step - before, run.steps.ends(epoch) - before
    images = done * run.steps.global_batch
    run.log.say_part(EpochPart(epoch + 1, run.epochs, done, steps, images, logged.loss, logged.reading))
    run.silence.start()


def save_unfinished(run: Run, clock: EpochClock, tally: Tally) -> None:
    """Save a checkpoint in the middle of an epoch, with the epoch's sums so far."""
    log_steps(run, clock)
    reading = clock.read()
    run.progress.epoch_sums = tally.total(run.world)
    run.progress.epoch_seconds, run.progress.epoch_stalled = reading.seconds, reading.stalled
    run.step.share_statistics()
    save(run, best=False)


def finish_epoch(run: Run, clock: EpochClock, tally: Tally, votes: Votes) -> None:
    """Evaluate, report the epoch, and save the state from which the next epoch begins.

    If a signal arrives during the evaluation, save the epoch as unfinished and stop the run.
    """
    log_steps(run, clock)
    train, reading = tally.total(run.world), clock.read()
    run.fetching = 100.0 * reading.fetching / reading.seconds if reading.seconds else 0.0
    run.log.console.evaluate()
    run.step.share_statistics()
    scores = Scores()
    validation = run.evaluate(run.measured, partial(cut_short, run.stop), scores)
    if not run.evaluate.complete(validation):
        stop(run, clock, tally, votes.now(wishes(run)))
    progress, seconds = run.progress, clock.read().seconds
    best = progress.end_epoch(validation.accuracy, seconds)
    rate = run.step.schedule.rate(progress.step - 1)
    epoch = progress.epochs_done
    report = EpochReport(epoch, run.epochs, progress.step, train, validation, seconds, reading, rate)
    run.log.epoch(report)
    tell_saved(run, wait=True)
    run.once_saved = partial(tell_epoch, run, report, run.keep(scores) if best else None)
    run.log.console.clear()
    run.silence.start()
    save(run, best=best)
    run.log.memory(progress.step, peak_resident(), device_memory(run.step.accelerator))


def tell_epoch(run: Run, report: EpochReport, kept: Callable[[Saved], None] | None, saved: Saved) -> None:
    """Report an epoch once its checkpoint is on the disk, which may be some steps after the end of the epoch."""
    if kept is not None:
        kept(saved)
    run.told.on_epoch(report)
    run.log.say_epoch(report)  # last, because a reader of the line may block the run


def save(run: Run, *, best: bool) -> None:
    """Wait until the previous save is finished, and report it; then save the run, either at once or in a thread."""
    tell_saved(run, wait=True)
    with run.stop.writing():
        run.save(run.progress, best=best)
    run.interval.start()
    tell_saved(run)


def tell_saved(run: Run, *, wait: bool = False) -> None:
    """Report the checkpoint whose save has finished since the last call, if there is one.

    With `wait`, first wait for a save that is in progress. Only rank 0 saves checkpoints. Raises the error of a save
    that failed.
    """
    with run.stop.writing() if wait else nullcontext():
        saved = run.save.done(wait=wait)
    if saved is None:
        return
    run.log.saved(saved)
    run.told.on_saved(saved)
    if run.once_saved is not None:
        told, run.once_saved = run.once_saved, None
        told(saved)
