"""Carries out a training run: builds its parts, passes them to the loop, and reports the outcome."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.manifest import TRAIN, VALIDATION
from headrace.shards.mapped import MAPPED
from headrace.train.checkpoint import names
from headrace.train.checkpoint.progress import Progress
from headrace.train.evaluate.validation import build_evaluator
from headrace.train.input.batch import resident_batch
from headrace.train.input.decode.cache_fill import open_caches
from headrace.train.input.kernels.kept import LOOPS
from headrace.train.machine import environment
from headrace.train.machine.abort import ending_together
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.profile import trace_of
from headrace.train.machine.signals import StopRequest
from headrace.train.machine.world import World
from headrace.train.model.build import Built
from headrace.train.record.aside import AllAside, Aside
from headrace.train.record.attempts import claimed
from headrace.train.record.callback import Callback, Callbacks
from headrace.train.record.console import Console, cleared, console_of
from headrace.train.record.folder import RunLog
from headrace.train.record.ledger import Ledger
from headrace.train.record.loggers.choose import loggers_of
from headrace.train.record.page.render import NAME as PAGE
from headrace.train.record.page.renewal import PageRenewal
from headrace.train.run import not_finite, out_of_memory
from headrace.train.run.assemble import build_feed, build_keeper, build_network, build_numerics, build_saver, build_step
from headrace.train.run.clock import Interval
from headrace.train.run.closing import conclude, finished_line
from headrace.train.run.loop import Run, fit
from headrace.train.run.mirroring import mirror_of, mirror_trouble
from headrace.train.run.opening import start_lines
from headrace.train.run.preflight import handed_over
from headrace.train.run.process import entered, round_products
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, open_run_folder, resolve
from headrace.train.run.shared_folder import refuse_unshared
from headrace.train.run.staging import named, stage_whole
from headrace.train.run.telling import start_of, telling
from headrace.train.run.watching import watched
from headrace.train.step.compilation import Compilation, compile_step
from headrace.train.step.freezing import thaw
from headrace.train.step.tally import LossRing, NotFiniteError
from headrace.train.step.update import TrainStep

_MINUTES_OF_SILENCE = 1.0  # in a long epoch


def train(request: Request, callbacks: Sequence[Callback] = ()) -> None:
    """Carry out a request for training on this rank, from the start or from a checkpoint to the last epoch.

    On rank 0, `callbacks` are called at moments of the run; see `headrace.Callback`. Raises StoppedError, after saving,
    if a signal stops the run, and the errors of `resolve`. If the run has several ranks, an error ends the process
    instead of being raised.
    """
    console = console_of(request.show)
    with StopRequest(console.clear_at_once) as stop, ending_together(stop), cleared(console):
        world = World.around()
        stop.among_others = world.size > 1
        setup = resolve(request, world.size, handed_over())
        if world.local_rank == 0:  # the other ranks of this host wait for it when they join
            refuse_unsafe(setup.shards)
        with entered(setup.recipe.runtime) as place:
            carry_out(setup, place, stop, build_network(setup), callbacks, console)


def carry_out(
    setup: Setup,
    place: Place,
    stop: StopRequest,
    built: Built,
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
) -> None:
    """Train the network `built` on this rank, as `setup` describes."""
    refuse_unequal(setup, place.world)
    if setup.finished:
        RunLog(setup.out if place.world.is_main else None, console).say(finished_line(setup, setup.finished))
        return
    if not place.world.is_main:
        _carry_out(setup, place, stop, built, RunLog(None), ())
        return
    trouble = mirror_trouble(setup)
    shown = console or Console()
    later = names.newest_attempt(setup.out)
    with claimed(setup.out, shown.say, later) as attempt:  # two runs writing the same folder would destroy each other
        open_run_folder(setup)
        log = RunLog(setup.out, shown, attempt)
        LOOPS.tell = log.say
        if trouble:
            log.say_warning(trouble)
        page = Aside(PageRenewal(setup.shards), PAGE, log.say_warning)
        loggers = loggers_of(setup.recipe.runtime.loggers, log.say_warning)
        _carry_out(
            setup,
            place,
            stop,
            built,
            log,
            [Ledger(log), AllAside([page, *loggers]), *mirror_of(setup, log), *callbacks],
        )


def refuse_unequal(setup: Setup, world: World) -> None:
    """Raise UsageError if this rank sees another shard set, recipe or checkpoint than rank 0.

    On several hosts the same paths can lead to different files.
    """
    resumed = setup.resumed
    mine = {
        "shard set": setup.shards.digest,
        "recipe": setup.recipe.result(),
        "checkpoint": f"step {resumed.progress.step}, sha256 {resumed.sha256[:16]}" if resumed else None,
    }
    main = world.from_main(mine)
    if different := [f"its {key} is {mine[key]}, but rank 0 has {main[key]}" for key in mine if mine[key] != main[key]]:
        raise UsageError(
            f"rank {world.rank}: {'; '.join(different)}. "
            "Give all hosts the same shard set, and a run folder that they share"
        )


def _carry_out(
    setup: Setup, place: Place, stop: StopRequest, built: Built, log: RunLog, callbacks: Sequence[Callback]
) -> None:
    refuse_unshared(setup.out, place.world, own=setup.request.out is not None)
    setup = setup.on(place.accelerator)
    numerics = build_numerics(setup, place, built)
    round_products(numerics, place.accelerator)
    step = build_step(setup, place, numerics, built)
    with out_of_memory.explain(setup, place.accelerator):
        sides = [size for _, size in setup.recipe.augment.stages]
        residents = [resident_batch(setup.recipe.train.group, side, place.accelerator) for side in sides]
        compilation = compile_step(step, setup.recipe.runtime.compile, residents)
        for resident in residents:
            step.warm_up(resident)
        origin = f"weights of {setup.resumed.path.name}" if setup.resumed else built.origin
        for line in start_lines(setup, place, numerics.precision, origin, compilation):
            log.say(line)
        _write_environment(setup, place, numerics, compilation)
        progress = replace(setup.resumed.progress) if setup.resumed else Progress()  # a copy, which the loop updates
        log.keep_until(progress.step, progress.epochs_done)
        with telling(Callbacks(callbacks), start_of(setup), progress) as told:
            conclude(
                _trained(setup, place, stop, step, log, told, progress, partial(thaw, step, residents)),
                setup,
                place,
                residents[-1],
            )


def _trained(
    setup: Setup,
    place: Place,
    stop: StopRequest,
    step: TrainStep,
    log: RunLog,
    told: Callback,
    progress: Progress,
    thawing: Callable[[], None],
) -> Run:
    """Build the run, train until it ends, and return the run."""
    recipe = setup.recipe
    caches = open_caches(setup.shards, setup.caches, place.world, place.threads, log.say)
    if setup.shards.remote is not None:
        setup.shards.remote.depot.room.tell = log.say_warning
    stage_whole(setup, place.world, log)
    evaluate = build_evaluator(
        setup.shards,
        recipe.evaluate,
        setup.decode,
        step.normalise,
        place,
        step.numerics,
        caches.get(VALIDATION),
        interpolation=recipe.augment.interpolation,
    )
    evaluate.warm_up(step.network)  # before the feed begins, whose work could disturb a capture or a timing
    tracing = trace_of(setup.request.profile, setup.out, place.world.rank, place.accelerator, log.say)
    with build_feed(setup, place, progress.step, caches.get(TRAIN)) as feed, tracing as traced:
        run = Run(
            steps=setup.steps,
            epochs=recipe.train.epochs,
            until=recipe.train.until,
            feed=feed,
            batches=watched(feed, setup, step, log),
            step=step,
            evaluate=evaluate,
            progress=progress,
            losses=LossRing(recipe.runtime.log_every, place.accelerator, progress.step),
            log=log,
            told=told,
            stop=stop,
            world=place.world,
            checkpoint_steps=recipe.runtime.checkpoint_steps,
            interval=Interval(recipe.runtime.checkpoint_minutes),
            silence=Interval(_MINUTES_OF_SILENCE),
            save=build_saver(setup, place, step, log.attempt),
            traced=traced,
            thaw=thawing,
            keep=build_keeper(setup, place, step, log.attempt),
        )
        waited = feed.wait_for_first()
        log.say(f"input    waited {waited:.1f} s for the first batch")
        log.began(progress.step, time.monotonic() - setup.request.made, waited)
        for trouble in filter(None, (LOOPS.trouble, MAPPED.trouble)):
            log.say(f"warning: {trouble}")
        try:
            with run.save:
                fit(run)
        except NotFiniteError as error:
            raise not_finite.explanation(error, setup, place.world) from error
        run.save.end()
    return run


def _write_environment(setup: Setup, place: Place, numerics: Numerics, compilation: Compilation) -> None:
    if place.world.is_main:
        digest = setup.shards.digest
        values = environment.describe(place.accelerator, place.world, place.threads, numerics.precision, digest)
        values["compile"] = str(compilation)
        values["shards"] = named(setup.shards)
        store.write_bytes(setup.out / "environment.json", (json.dumps(values, indent=1) + "\n").encode())
