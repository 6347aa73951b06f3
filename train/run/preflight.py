"""Checks a request before any rank is started, and chooses the checkpoint from which all ranks resume.

The ranks receive the path of the chosen checkpoint and the hash of its bytes. So all ranks read the same checkpoint,
and no rank has to search for it or to read damaged checkpoints first (docs/decisions/0022).
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
    """Check a request for `processes` ranks on this machine, and download the initial weights if they are needed.

    Returns environment variables for the ranks. Raises the errors of `resolve` and of
    `headrace.train.model.weights.first_weights`, and UsageError if there are fewer devices than processes.
    """
    found = find(request.resume, request.out)
    setup = resolve(request, processes, found)
    Accelerator.look().choose(setup.recipe.runtime.device, processes)
    if setup.resumed is None:
        first_weights(setup.recipe.model.name, setup.recipe.model.init, request.weights)
    return hand_over(found)


def hand_over(found: Found) -> dict[str, str]:
    """Return environment variables that tell the ranks which checkpoint was chosen."""
    chosen = found.checkpoint and (str(found.checkpoint.path), found.checkpoint.sha256, found.warnings)
    return {_CHOSEN: json.dumps(chosen)}


def chosen_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint that Headrace's launcher chose, or the one at `path` if another program started this rank.

    Raises UsageError if there is no checkpoint, DataError if the file is damaged or has changed since the choice.
    """
    found = handed_over()
    return found.checkpoint if found and found.checkpoint else Checkpoint.of(files.load(path))


def handed_over() -> Found | None:
    """Read the checkpoint that Headrace's launcher chose; return None if another program started this rank.

    Raises DataError if the file has changed since the launcher chose it.
    """
    if _CHOSEN not in os.environ:
        return None
    chosen = json.loads(os.environ[_CHOSEN])
    if chosen is None:
        return Found(None)
    path, sha256, warnings = chosen
    return Found(Checkpoint.of(files.load(Path(path), sha256)), tuple(warnings))
