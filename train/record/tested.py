"""Tells which of the installed libraries are newer than the versions that this release was tested with."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PINS = Path(__file__).resolve().parents[2] / "constraints.txt"
"""The file with the tested version of each package; it is in the checkout and in the wheel."""
_NAMES = {"torch": "torch", "nvidia-dali-cuda120": "DALI", "nvidia-dali-cuda130": "DALI"}
_AS_TESTED = {"nvidia-dali-cuda130": "nvidia-dali-cuda120"}
"""Maps a package without a pinned version to the pinned package of the same library for another version of CUDA."""


@cache
def pinned_versions() -> dict[str, str]:
    """Return the tested version of each package by its name, from constraints.txt; empty if that file is missing."""
    try:
        text = _PINS.read_text("utf-8")
    except OSError:
        return {}
    return dict(re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.MULTILINE))


def newer_than_tested(have: Mapping[str, str], tested: Mapping[str, str] | None = None) -> str:
    """Return a phrase that tells whether torch or DALI is newer than the tested version; "" if neither is newer.

    `have` and `tested` map names of packages to versions; by default `tested` has the versions of this release. Only
    the release numbers count: a build for another device ("+cpu") or a post-release counts as the same version.
    """
    pins = pinned_versions() if tested is None else tested
    pairs = [
        (_NAMES[package], version, pins[pin])
        for package, version in have.items()
        if package in _NAMES and (pin := _AS_TESTED.get(package, package)) in pins
    ]
    newer = [(name, version, pin) for name, version, pin in pairs if _numbers(version) > _numbers(pin)]
    if not newer:
        return ""
    known = " and ".join(f"{name} {pin}" for name, _, pin in newer)
    return f"with {known}, not yet with {' and '.join(f'{name} {version}' for name, version, _ in newer)}"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version without trailing zeros: (2, 13) of "2.13.0+cpu"."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
