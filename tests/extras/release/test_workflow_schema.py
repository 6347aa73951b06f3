import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.checkout import ROOT

SCHEMA = json.loads(Path(__file__).with_name("github-workflow.json").read_text("utf-8"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
RELEASE = (ROOT / ".github/workflows/release.yml").read_text("utf-8")


def faults(text: str) -> list[str]:
    """What the schema of GitHub's workflows finds wrong in one. YAML 1.1 reads the key `on` as true."""
    read: dict[Any, Any] = yaml.safe_load(text)
    named = {"on" if key is True else key: value for key, value in read.items()}
    return [f"{one.json_path}: {one.message[:200]}" for one in Draft7Validator(SCHEMA).iter_errors(named)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_fits_the_schema(path: Path) -> None:
    """Each workflow has the form that GitHub expects."""
    assert faults(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("runs-on:", "run-on:"),
        ("id-token: write", "id-token: maybe"),
        ("    steps:", "    step:"),
        ("push:", "pushed:"),
    ],
)
def test_wrong_workflow_is_found(right: str, wrong: str) -> None:
    """The schema sees a misspelt key, a value that does not exist, and an event that does not exist."""
    assert right in RELEASE
    assert faults(RELEASE.replace(right, wrong)) != []
