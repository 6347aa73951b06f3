"""Disks and users of the tests' own: file systems in a mount namespace, and commands that permissions bind."""

import os
import shutil
import subprocess

import pytest

NOBODY = 65534
"""A user who owns nothing."""


def in_namespace(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A shell script where file systems may be mounted; skips where the machine does not allow it."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting in a namespace of its own is not allowed here")
    command = [unshare, "-rm", "bash", "-ec", script, "bash", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def bound_by_permissions(*command: object) -> subprocess.CompletedProcess[str]:
    """The command as a user whom the permissions of files bind: root's power over them is taken from it.

    Skips where that cannot be done.
    """
    words = list(map(str, command))
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv, which takes root's power over files away, is not there")
        words = [setpriv, "--bounding-set=-dac_override,-dac_read_search", *words]
    return subprocess.run(words, capture_output=True, text=True, check=False)
