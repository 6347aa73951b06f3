"""What docs/compatibility.md promises and no other list holds: fields of the objects that commands print, exit codes.

A field may be added, with its line here and in CHANGELOG.md; removing one needs what the page says.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace import DataError, HeadraceError, UsageError
from headrace.train.record.metrics import Metrics
from headrace.train.record.predictions import NAME, Predictions
from tests.e2e.commands import here
from tests.train.record.page.runs import drawn_run

FIELDS = {
    "eval": "averaged calibration_error classes loss samples split step top1 top5",
    "eval classes": "class label name precision recall samples",
    "inspect": "classes digest edges equal percentiles root samples shared splits",
    "inspect classes": "id name samples",
    "inspect splits": "aspect balance bytes conflicting height histograms name repeated samples width",
    "inspect shared": "first samples second",
    "verify": "bytes deep problems remedy root samples seconds shards sound",
    "runs": "runs",
    "runs runs": "accuracy epoch epochs epochs_done images_per_second model recipe run seconds state",
    "--version": "commit cores gpus headrace implementation packages processor python system",
}
"""Names by command, and by the command and a list of the object."""


def fields(command: str, record: dict[str, Any]) -> dict[str, str]:
    """The names of an object's fields, and of the objects in its lists."""
    inner = {name: value[0] for name, value in record.items() if isinstance(value, list) and value}
    tables = {f"{command} {name}": sorted(one) for name, one in inner.items() if isinstance(one, dict)}
    return {key: " ".join(names) for key, names in {command: sorted(record), **tables}.items()}


def test_object_of_eval_has_the_fields_of_the_list(tmp_path: Path) -> None:
    """What tests/e2e/test_eval.py shows to be what the command prints."""
    made = Predictions.read(drawn_run(tmp_path / "run") / NAME)
    assert fields("eval", Metrics.of(made).record(made)) == listed("eval")


@pytest.mark.parametrize("command", ["inspect", "verify", "runs", "--version"])
def test_object_has_the_fields_of_the_list(command: str, tiny_set: Path, tmp_path: Path) -> None:
    """Programs read them by these names."""
    place = {"--version": (), "runs": (drawn_run(tmp_path / "run").parent,)}.get(command, (tiny_set,))
    done = here(command, *place, "--json")
    assert done.code == 0, done.stderr
    assert fields(command, json.loads(done.stdout)) == listed(command)


def listed(command: str) -> dict[str, str]:
    """The part of the list about a command."""
    return {key: names for key, names in FIELDS.items() if key.split(" ", maxsplit=1)[0] == command}


def test_exit_codes_of_errors_are_fixed() -> None:
    """Scripts tell by them whether the run, the request or the data is at fault."""
    assert [one.exit_code for one in (HeadraceError, UsageError, DataError)] == [1, 2, 3]
