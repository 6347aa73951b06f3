"""A run says so if its torch or DALI is newer than the one that the release was tested with."""

import pytest

from headrace.train.record.installation import versions
from headrace.train.record.tested import newer_than_tested, pinned_versions

TESTED = {"torch": "2.13.0", "nvidia-dali-cuda120": "2.4.0", "numpy": "2.4.6"}


@pytest.mark.parametrize(
    ("have", "said"),
    [
        ({"torch": "2.15.0"}, "with torch 2.13.0, not yet with torch 2.15.0"),
        ({"torch": "2.13.1+cu130"}, "with torch 2.13.0, not yet with torch 2.13.1+cu130"),
        ({"torch": "3.0.0a0+git1234"}, "with torch 2.13.0, not yet with torch 3.0.0a0+git1234"),
        ({"torch": "2.13.0", "nvidia-dali-cuda130": "2.5.0"}, "with DALI 2.4.0, not yet with DALI 2.5.0"),
        (
            {"torch": "2.14.1", "nvidia-dali-cuda120": "2.10.0"},
            "with torch 2.13.0 and DALI 2.4.0, not yet with torch 2.14.1 and DALI 2.10.0",
        ),
    ],
)
def test_newer_versions_are_named(have: dict[str, str], said: str) -> None:
    """With the tested ones, in one phrase, for either build of DALI; numbers are compared as numbers."""
    assert newer_than_tested(have, TESTED) == said


@pytest.mark.parametrize(
    "have",
    [
        {"torch": "2.13.0+cpu", "nvidia-dali-cuda120": "2.4.0"},
        {"torch": "2.13"},
        {"torch": "2.13.0.post1"},
        {"torch": "2.9.1", "nvidia-dali-cuda120": "2.3.9"},
        {"numpy": "9.0.0"},
        {"torch": "unknown"},
        {},
    ],
)
def test_tested_and_older_versions_are_not_named(have: dict[str, str]) -> None:
    """Builds of the tested version, older versions, and other packages."""
    assert newer_than_tested(have, TESTED) == ""


def test_pinned_versions_are_those_of_the_constraints() -> None:
    """The file that the installation of the tests used; where nothing differs from it, nothing is said."""
    pins = pinned_versions()
    assert {"torch", "nvidia-dali-cuda120", "numba"} <= pins.keys()
    have = versions()
    if have["torch"].partition("+")[0] == pins["torch"]:
        assert newer_than_tested({"torch": have["torch"]}) == ""
    assert newer_than_tested({"torch": "999.0"}) == f"with torch {pins['torch']}, not yet with torch 999.0"
