"""What can be refused before ranks are started is refused here, once and not by every rank.

The ranks are handed the checkpoint that was chosen: its path and the hash of its bytes. So none of them looks for one,
reads a damaged one before it, or finds another than the rest (docs/decisions/0022).
"""

import json
import os
from pathlib import Path

from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.resume import Found, find
from headrace.train.machine.device import Accelerator
from headrace.train.model.weights import first_weights
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve

_CHOSEN = "HEADRACE_CHECKPOINT"  # null for a new run, else [path, SHA-256 in hex, warnings]


def preflight(request: Request, processes: int) -> dict[str, str]:
    """Check a request that `processes` ranks of this machine will carry out; weights are downloaded here once.

    Returns what the environment of the ranks tells them. Raises what `resolve` raises, UsageError if the device is not
    there for so many processes, and the errors of `headrace.train.model.weights.first_weights`.
    """
    found = find(request.resume, request.out)
    setup = resolve(request, processes, found)
    Accelerator.look().choose(setup.recipe.runtime.device, processes)
    if setup.resumed is None:
        first_weights(setup.recipe.model.name, setup.recipe.model.init, request.weights)
    return hand_over(found)


def hand_over(found: Found) -> dict[str, str]:
    """What tells ranks which checkpoint was chosen, as variables of their environment."""
    chosen = found.checkpoint and (str(found.checkpoint.path), found.checkpoint.sha256, found.warnings)
    return {_CHOSEN: json.dumps(chosen)}


def chosen_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that the launcher chose for this rank, or the one at `path` where no launcher of ours did.

    Raises UsageError when there is none, DataError when it is damaged or has changed since.
    """
    found = handed_over()
    return found.checkpoint if found and found.checkpoint else Checkpoint.of(files.load(path))


def handed_over() -> Found | None:
    """The checkpoint that the launcher chose for this rank; None if no launcher of ours started it.

    Raises DataError when the file has changed since.
    """
    if _CHOSEN not in os.environ:
        return None
    chosen = json.loads(os.environ[_CHOSEN])
    if chosen is None:
        return Found(None)
    path, sha256, warnings = chosen
    return Found(Checkpoint.of(files.load(Path(path), sha256)), tuple(warnings))
