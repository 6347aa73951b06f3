"""`headrace report`: pages of runs that are there, also while they go on."""

from collections.abc import Sequence
from pathlib import Path

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.shards.paths import refuse_impossible
from headrace.train.record.page.facts import FactsReader
from headrace.train.record.page.render import NAME, render_comparison, render_run


def write_page(runs: Sequence[Path], out: Path | None) -> Path:
    """Write the page of one run, or of several beside one another, to `out`; returns where.

    Raises UsageError if one is no run folder, or if there are several and no `out`.
    """
    if out is None and len(runs) > 1:
        raise UsageError(f"{len(runs)} runs are compared on a page of their own: say where, with --out FILE.html")
    for path in (*runs, *([out] if out else ())):
        refuse_impossible(path)
    facts = [FactsReader(folder).read() for folder in runs]
    path = out or runs[0] / NAME
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder; give --out a file, such as {path / NAME}")
    store.write_bytes(path, render_run(facts[0], path) if len(facts) == 1 else render_comparison(facts, path))
    return path
