"""Mutated recipes, checkpoints, logs and caches of runs, and what an interrupted prep left."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from headrace.prep.make import shard
from headrace.prep.make.planned import Job
from headrace.train.recipe.recipe import load_recipe
from tests.faults import worker
from tests.faults.attack_sets import given, make_set, result
from tests.faults.attack_sources import BINARY, TEXT
from tests.faults.targets import OUT, ROOM, Case, Target, built
from tests.prep.contents import as_zip, small

EPOCHS = 2
STOPPED = 4  # the step before which the run broke off, of 6
HARM = {"what": "refuse", "step": STOPPED, "rank": 0}


def _recipe(folder: Path) -> None:
    make_set(folder)
    (folder / ROOM / "mine.toml").write_text(load_recipe("demo").toml(), encoding="utf-8")


def _show(case: Case) -> None:
    """A recipe that is taken has each value that its file has, by the word of tomllib."""
    case.spoil("mine.toml", TEXT)
    path = case.room / "mine.toml"
    answer = case.ask("recipes", "show", path)
    if answer.code == 0:
        told, asked = tomllib.loads(answer.stdout), tomllib.loads(path.read_text("utf-8"))
        other = [
            f"{section}.{key}"
            for section, values in asked.items()
            for key, value in values.items()
            if _plain(told.get(section, {}).get(key)) != _plain(value)
        ]
        case.check(not other, f"{other} are not shown as they are")
    if case.draw.random() < 0.2:
        words = given(case.room / "set", case.out, evaluate__size=32)
        words[words.index("demo")] = str(path)
        case.ask(*words, codes=(0, 1, 2, 3))


def _plain(value: object) -> object:
    """The value with floats for numbers: a large one may be written in either way."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return float(value) if type(value) is int else value


def _broken_off(folder: Path) -> None:
    """A run that broke off in its second epoch, with a checkpoint of each of the last steps; and a whole one."""
    make_set(folder)
    shards, room = folder / ROOM / "set", folder / ROOM
    steps = {"train__epochs": EPOCHS, "runtime__checkpoint_steps": 1}
    built(folder, *given(shards, folder / "run", **steps))
    built(folder, *given(shards, room / OUT, **steps), before=lambda: worker.arm(HARM), code=3)
    shutil.copyfile(room / OUT / "best.pt", room / "copy.pt")
    (folder / "measured").write_text(built(folder, "eval", room / "copy.pt", shards).stdout)


def _checkpoint(case: Case) -> None:
    """A run goes on from the checkpoint before a damaged one, to the same end; `eval` says the same or refuses."""
    file = case.draw.choice((f"{OUT}/last.pt", f"{OUT}/last.pt", "copy.pt"))
    case.spoil(file, BINARY)
    if file == "copy.pt":
        answer = case.ask("eval", case.room / file, case.room / "set")
        case.check(answer.code != 0 or answer.stdout == (case.whole / "measured").read_text(), f"measured: {answer}")
    else:
        case.names = [*case.names, (case.room / file).resolve().name]
        _resume(case)


def _resume(case: Case) -> str:
    """Go on with the run of the room, which ends as one that nothing disturbed, or not at all; what is said."""
    answer = case.ask(*given(case.room / "set", case.out, "--resume", train__epochs=EPOCHS))
    if answer.code == 0:
        case.check(result(case.out) == result(case.whole / "run"), f"another end: {answer}")
    return answer.text


def _log(case: Case) -> None:
    """A run goes on with a damaged log; what is lost by that is said, but for a last line as a crash leaves it."""
    file = case.draw.choice(("metrics.jsonl", "metrics.jsonl", "metrics.jsonl", "epochs.csv"))
    case.spoil(f"{OUT}/{file}", TEXT)
    rows = [(_row(line), line) for line in _lines(case.out)]
    steps = [row["step"] for row, _ in rows if row]
    lost = STOPPED not in steps or any(not row and line.endswith("\n") for row, line in rows)
    words = given(case.room / "set", case.out, "--resume", train__epochs=EPOCHS)
    answer = case.ask(*words, codes=(0,))
    case.check(not lost or "metrics.jsonl" in answer.text, f"rows are lost without a word: {answer}")
    after = {json.dumps(_row(line)) for line in _lines(case.out)}
    gone = [line for row, line in rows if row and row["step"] <= STOPPED and json.dumps(row) not in after]
    case.check(not gone or "metrics.jsonl" in answer.text, f"{gone} are gone: {answer}")


def _lines(run: Path) -> list[str]:
    return (run / "metrics.jsonl").read_text("utf-8", errors="replace").splitlines(keepends=True)


def _row(line: str) -> dict[str, Any]:
    """What json finds in a line, if that is a table with a step; else nothing."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else {}


def _interrupted(folder: Path) -> None:
    """A prep that broke off after four of seven shards; and the set as it shall be."""
    (folder / ROOM / "in").mkdir(parents=True)
    source = as_zip(small(), folder / ROOM / "in" / "a.zip")
    words = ("--samples-per-shard", "4", "--workers", "1")
    built(folder, "prep", source, folder / "whole", *words)
    built(folder, "prep", source, folder / ROOM / OUT, *words, before=_stop_after_four, code=1)


def _stop_after_four() -> None:
    """Have this process end its prep when it has made four shards."""
    from headrace.prep.make.engines import pool
    from headrace.shards.errors import HeadraceError

    made: list[str] = []

    def making(job: Job, *rest: object) -> object:
        if len(made) == 4:
            raise HeadraceError("a fault of the test")
        made.append(job.name)
        return shard.make_shard(job, *rest)  # type: ignore[arg-type]

    pool.make_shard = making  # type: ignore[assignment, attr-defined]


def _prep_again(case: Case) -> None:
    """Whatever is damaged of it, the set is made, equal to the byte."""
    work = case.room / f".{OUT}.partial"
    files = sorted(str(path.relative_to(case.room)) for path in work.rglob("*") if path.is_file())
    case.spoil(case.draw.choice(files), BINARY)
    words = ("--samples-per-shard", "4", "--workers", "1")
    case.ask("prep", case.room / "in" / "a.zip", case.out, *words, codes=(0,))
    sets = [{path.name: path.read_bytes() for path in root.glob("*")} for root in (case.out, case.whole / "whole")]
    for one in sets:
        one.pop("source.stat", None)
    case.check(sets[0] == sets[1], "another set than unspoilt")


def _cached(folder: Path) -> None:
    """A set with its decoded cache, and the run that made that."""
    make_set(folder)
    built(folder, *given(folder / ROOM / "set", folder / "run", runtime__cache="decoded"))


def _train_cached(case: Case) -> None:
    """No damaged pixel is trained on."""
    cache = case.draw.choice(sorted(path.name for path in (case.room / "set.decoded").glob("*.rgb")))
    case.spoil(f"set.decoded/{cache}", BINARY)
    case.written += [f"set.decoded/{path.name}" for path in (case.room / "set.decoded").iterdir()]
    answer = case.ask(*given(case.room / "set", case.out, runtime__cache="decoded"))
    if answer.code == 0:
        case.check(result(case.out) == result(case.whole / "run"), f"another run: {answer}")


RUNS = (
    Target("recipe", _recipe, _show),
    Target("checkpoint", _broken_off, _checkpoint),
    Target("log", _broken_off, _log),
    Target("interrupted prep", _interrupted, _prep_again),
    Target("decoded cache", _cached, _train_cached),
)
