"""What the commands of a page find: `headrace` of this checkout, and no server for pip."""

import os
import sys
from pathlib import Path

from tests.checkout import SEARCH


def environment(folder: Path) -> dict[str, str]:
    """More variables for a process that runs a page in `folder`; pip raises an error for what is not installed yet."""
    commands = folder / ".commands"
    commands.mkdir(exist_ok=True)
    (commands / "headrace").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m headrace "$@"\n')
    (commands / "headrace").chmod(0o755)
    path = os.pathsep.join([str(Path(sys.executable).parent), str(commands), os.environ["PATH"]])
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return offline | {"PATH": path, "PYTHONPATH": SEARCH}
