"""Writes the pages of finished or running runs, for `headrace report`."""

from collections.abc import Sequence
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible, refuse_without_folder
from headrace.train.record.page.facts import FactsReader
from headrace.train.record.page.render import NAME, render_comparison, render_run


def write_page(runs: Sequence[Path], out: Path | None) -> Path:
    """Write the page of one run, or a comparison of several runs, to `out`; return the path of the page.

    Raises UsageError if a folder is not a run folder, or if there are several runs but no `out`.
    """
    if out is None and len(runs) > 1:
        raise UsageError(f"comparing {len(runs)} runs needs a file for the page: give --out FILE.html")
    for path in (*runs, *([out] if out else ())):
        refuse_impossible(path)
    facts = [FactsReader(folder).read() for folder in runs]
    path = out or runs[0] / NAME
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder, not a file. Give --out a file, such as {path / NAME}")
    refuse_without_folder(path)
    store.write_bytes(path, render_run(facts[0], path) if len(facts) == 1 else render_comparison(facts, path))
    return path
