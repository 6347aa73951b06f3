"""The run as a table of contents: epochs of steps, each followed by evaluation and a checkpoint."""

from collections.abc import Callable, Iterator
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


@dataclass
class Run:
    """The parts of a training run, assembled."""

    steps: Steps
    epochs: int
    until: float | None
    feed: Feed
    batches: Iterator[Batch]  # of the feed
    step: TrainStep
    evaluate: Evaluator
    progress: Progress
    losses: LossRing
    log: RunLog
    told: Callback  # all that are told of its moments; nobody on other ranks than 0
    stop: StopRequest
    world: World
    checkpoint_steps: int | None
    interval: Interval  # between checkpoints
    silence: Interval  # between lines of an epoch that is long
    save: Saver
    traced: Callable[[], None]  # a step is over
    keep: Callable[[Scores, Saved | None], None]  # what the best evaluation so far said of each sample
    cpu_seconds: float | None = None  # of this rank for each of its images in the last epoch; None before one ended

    @property
    def measured(self) -> Network:
        """The network that evaluation is about: the weights' average where the recipe keeps one."""
        return self.step.average.network if self.step.average else self.step.network


def fit(run: Run) -> None:
    """Train to the last epoch or the accuracy that is enough. Raises StoppedError after saving, when a signal asked."""
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
            if wished.save or (run.checkpoint_steps and run.progress.step % run.checkpoint_steps == 0):
                save_unfinished(run, clock, tally)
        images = (run.progress.step - first) * run.step.micro_batches * run.steps.group
        run.cpu_seconds = clock.cpu_seconds / images if images else None
        finish_epoch(run, clock, tally, votes)
    votes.heard()
    run.stop.something_to_save = False


def ahead(run: Run, epoch: int) -> Ahead:
    """What is still to be done of this epoch, counted from 0, and of the run."""
    before, end = run.steps.ends(epoch - 1), run.steps.ends(epoch)
    later = run.steps.ends(run.epochs - 1) - end
    return Ahead(epoch + 1, run.epochs, end - before, run.progress.step - before, later, run.steps.global_batch)


def wishes(run: Run) -> Wishes:
    """What this rank wants: to stop where a signal came, and on rank 0, whose clock counts, a save when it is due."""
    return Wishes(run.stop.number, run.world.is_main and run.interval.over)


def cut_short(stop: StopRequest) -> bool:
    """Whether an evaluation shall end at this batch."""
    stop.beat()
    return bool(stop.number)


def stop(run: Run, clock: EpochClock, tally: Tally, wished: Wishes) -> None:
    """Save, and leave the run as all ranks agreed."""
    save_unfinished(run, clock, tally)
    raise StoppedError(wished.stop)


def log_steps(run: Run, clock: EpochClock) -> None:
    """The logging branch: the one place between epochs that asks the device for numbers."""
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
    """A line inside an epoch that is long."""
    epoch = run.progress.epochs_done
    before = run.steps.ends(epoch - 1)
    done, steps = logged.step - before, run.steps.ends(epoch) - before
    images = done * run.steps.global_batch
    run.log.say_part(EpochPart(epoch + 1, run.epochs, done, steps, images, logged.loss, logged.reading))
    run.silence.start()


def save_unfinished(run: Run, clock: EpochClock, tally: Tally) -> None:
    """A checkpoint in the middle of an epoch, with the epoch's sums so far."""
    log_steps(run, clock)
    reading = clock.read()
    run.progress.epoch_sums = tally.total(run.world)
    run.progress.epoch_seconds, run.progress.epoch_stalled = reading.seconds, reading.stalled
    run.step.share_statistics()
    save(run, best=False)


def finish_epoch(run: Run, clock: EpochClock, tally: Tally, votes: Votes) -> None:
    """Evaluate, report, and save the state that the next epoch begins with. A signal cuts the evaluation short."""
    log_steps(run, clock)
    train, reading = tally.total(run.world), clock.read()
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
    saved = save(run, best=best)
    if best:
        run.keep(scores, saved)
    run.log.memory(progress.step, peak_resident(), device_memory(run.step.accelerator))
    run.told.on_epoch(report)
    run.log.console.clear()
    run.silence.start()
    run.log.say_epoch(report)  # last: whoever reads it may keep the run waiting


def save(run: Run, *, best: bool) -> Saved | None:
    """Write a checkpoint and log how long the run stood still for it; None on ranks that do not write."""
    with run.stop.writing():
        saved = run.save(run.progress, best=best)
    if saved is not None:
        run.log.saved(saved)
        run.told.on_saved(saved)
    run.interval.start()
    return saved
