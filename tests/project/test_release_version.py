import pytest

from tests.project.release_version import disagreements

PROJECT = '[project]\nversion = "0.2.0"\n'
CHANGELOG = "# Changelog\n\n## [0.2.0] - 2026-12-01\n"


def test_one_version_in_three_places_may_be_released() -> None:
    """Tag, metadata and changelog agree."""
    assert disagreements("v0.2.0", PROJECT, CHANGELOG) == []


@pytest.mark.parametrize(
    ("tag", "changelog"),
    [("v0.2.1", CHANGELOG), ("0.2.0", CHANGELOG), ("", CHANGELOG), ("v0.2.0", "## [Unreleased]\n")],
)
def test_another_version_stops_a_release(tag: str, changelog: str) -> None:
    """A different tag, one without its v, no tag, and a changelog without the version are each refused."""
    assert len(disagreements(tag, PROJECT, changelog)) == 1
