"""What runs on a change elsewhere is what runs here: workflows call the Makefile; actions are pinned."""

import re
from pathlib import Path

import pytest

from tests.checkout import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
RELEASE = ["release-version", "lint", "test", "dist", "installed", "demo", "sbom"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def loose(text: str) -> list[str]:
    """Lines of a workflow that run what is not a target of the Makefile, or an action that is not pinned by commit."""
    found = []
    for line in text.splitlines():
        run = re.search(r"run:\s*(.*)", line)
        if run and not (re.fullmatch(r"make [a-z-]+( [A-Z_]+=\S+)*", run[1]) and run[1].split()[1] in TARGETS):
            found.append(line.strip())
        uses = re.search(r"uses:\s*(\S+)", line)
        if uses and not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses[1]):
            found.append(line.strip())
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_calls_the_makefile_alone(path: Path) -> None:
    """Each step is a pinned action or a target, and the token may read the contents alone, but to publish."""
    text = path.read_text("utf-8")
    assert loose(text) == []
    assert re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE) == ["  contents: read\n"]
    more = re.findall(r"^ +permissions:.*", text, re.MULTILINE)
    assert more == (["    permissions: { id-token: write }"] if path.name == "release.yml" else [])
    assert "secrets." not in text


def test_only_what_passed_every_step_is_published() -> None:
    """The job with the right to publish needs the one with all checks, runs no command, and starts by a tag only."""
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    build, _, publish = text.partition("\n  publish:\n")
    assert 'on:\n  push: { tags: ["v*"] }\npermissions' in build
    assert re.findall(r"run: make (\S+)", build) == RELEASE
    assert "id-token" not in build
    assert "    needs: build\n" in publish
    assert "    environment: release\n" in publish
    assert "run:" not in publish


def test_gpu_runner_takes_no_change_from_a_fork() -> None:
    """The self-hosted runner is reached by hand or on main only."""
    on = (ROOT / ".github/workflows/gpu.yml").read_text("utf-8").partition("\non:")[2].partition("\npermissions:")[0]
    assert "pull_request" not in on
    assert on.split() == ["workflow_dispatch:", "push:", "{", "branches:", "[main]", "}"]


@pytest.mark.parametrize(
    "line", ["- run: pip install .", "- run: make nothing", "- uses: actions/checkout@v4", "- run: make lint && true"]
)
def test_loose_line_is_found(line: str) -> None:
    """The checker sees a command of its own, a target that is not there, and a moving tag."""
    assert len(loose(line)) == 1


def test_commits_are_checked_by_the_same_target() -> None:
    """The hook before a commit runs `make lint`."""
    assert "entry: make lint\n" in (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
