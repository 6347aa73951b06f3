"""A run folder mirrored to a URL: what is there is whole, what fails ends no run, and a run goes on from there.

The commands of docs/storage.md are run here.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from headrace.train.checkpoint import names
from tests.checkout import SEARCH
from tests.e2e.commands import SMALL, headrace, refused
from tests.extras.cloud.asked import BUCKET, SECRET
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_reading import files_with, weights

ONE = (*SMALL, "--set=runtime.deterministic=true", "--set=runtime.keep_checkpoints=1")


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def there(s3: S3, prefix: str) -> dict[str, bytes]:
    """All that a mirror holds."""
    client, found = s3.client(), {}
    for one in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", ()):
        found[one["Key"].removeprefix(f"{prefix}/")] = client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
    return found


def test_mirror_is_the_run_folder_and_is_gone_on_from(tiny_set: Path, s3: S3, tmp_path: Path) -> None:
    """Last and best checkpoint, all files, the pointer; resumed elsewhere a run has the bits of one that went on."""
    url = f"s3://{BUCKET}/run"
    ended = headrace("train", tiny_set, *ONE, f"--set=runtime.mirror={url}", "--out", tmp_path / "run")
    assert ended.code == 0, ended.stderr
    assert "not uploaded" not in ended.stdout
    found, run = there(s3, "run"), tmp_path / "run"
    pointer = json.loads(found.pop("last.json"))
    assert pointer["last"] == (run / "last.pt").resolve().name
    links = {f"checkpoints/{(run / link).resolve().name}" for link in ("last.pt", "best.pt")}
    names = {path.name for path in run.iterdir() if path.is_file() and not path.is_symlink() and path.name[0] != "."}
    assert found.keys() == links | names
    assert all(data == (run / name).read_bytes() for name, data in found.items())
    assert all(SECRET.encode() not in data for data in found.values())
    assert files_with(SECRET, tmp_path) == []
    refused(headrace("train", tiny_set, *ONE, f"--set=runtime.mirror={url}", "--out", tmp_path / "b"), 2, "later")
    more = ("--set=train.epochs=2", "--override=recipe", "--device=cpu")
    here = headrace("train", tiny_set, *more, "--set=runtime.mirror=s3://bucket/other", "--resume", "--out", run)
    assert here.code == 0, here.stderr
    elsewhere = headrace("train", tiny_set, *more, "--resume", url, "--out", tmp_path / "new")
    assert elsewhere.code == 0, elsewhere.stderr
    assert (tmp_path / "new" / "best.pt").exists()
    assert rows(run) == rows(tmp_path / "new")
    assert json.loads(there(s3, "run")["last.json"])["last"] == (tmp_path / "new" / "last.pt").resolve().name
    assert len([name for name in there(s3, "run") if name.startswith("checkpoints/")]) <= 2
    again = headrace("train", tiny_set, *more, "--resume", url, "--out", tmp_path / "new")
    assert (again.code, "this run is finished" in again.stdout) == (0, True), again


def rows(run: Path) -> list[tuple[str, int]]:
    """What the log has of steps and epochs."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(one["kind"], one["step"]) for one in found if one["kind"] in ("step", "epoch")]


@pytest.mark.faults
def test_bits_after_a_resume_from_the_mirror(tiny_set: Path, s3: S3, tmp_path: Path) -> None:
    """A run that was killed, and whose disk is gone, ends with the weights of one that was not."""
    url, two = f"s3://{BUCKET}/killed-run", (*ONE, "--set=train.epochs=4")
    whole = headrace("train", tiny_set, *two, "--out", tmp_path / "whole")
    assert whole.code == 0
    command = [sys.executable, "-P", "-m", "headrace", "train", str(tiny_set), *two, f"--set=runtime.mirror={url}"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "lost")], env=os.environ | {"PYTHONPATH": SEARCH})
    while process.poll() is None and "last.json" not in there(s3, "killed-run"):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    ended = headrace("train", tiny_set, "--device=cpu", "--resume", url, "--out", tmp_path / "found")
    assert ended.code == 0, ended.stderr
    assert weights(tmp_path / "found") == weights(tmp_path / "whole")


def test_damaged_checkpoint_there_is_passed_over(tiny_set: Path, s3: S3, tmp_path: Path) -> None:
    """And named; of all damaged ones it is exit code 3, and of none 2."""
    url = f"s3://{BUCKET}/damaged-run"
    words = (*ONE, f"--set=runtime.mirror={url}", "--set=train.epochs=2")
    assert headrace("train", tiny_set, *words, "--out", tmp_path / "run").code == 0
    pointer = json.loads(there(s3, "damaged-run")["last.json"])
    last = pointer["last"]
    assert pointer["best"] != last
    sound = there(s3, "damaged-run")[f"checkpoints/{last}"]
    s3.client().put_object(Bucket=BUCKET, Key=f"damaged-run/checkpoints/{last}", Body=sound[:-9] + bytes(9))
    ended = headrace("train", tiny_set, "--device=cpu", "--resume", url, "--out", tmp_path / "new")
    assert (ended.code, f"{url}/checkpoints/{last}: the file is damaged" in ended.stdout) == (0, True), ended
    assert json.loads(there(s3, "damaged-run")["last.json"])["last"].startswith("step-00000040")
    for name in there(s3, "damaged-run"):
        if name.startswith("checkpoints/"):
            s3.client().put_object(Bucket=BUCKET, Key=f"damaged-run/{name}", Body=b"damaged")
    refused(headrace("train", tiny_set, "--resume", url, "--out", tmp_path / "none"), 3, "damaged")
    refused(headrace("train", tiny_set, "--resume", f"s3://{BUCKET}/nothing"), 2, "no checkpoint to resume from")
    assert not names.exists(tmp_path / "none")


def test_mirror_that_fails_ends_no_run(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there is a warning, and the last line names what is not mirrored."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    script = tmp_path / "impatient.py"
    script.write_text(
        "import sys; from datetime import timedelta\n"
        "from headrace.train.checkpoint import mirror; from headrace.train.run import mirroring\n"
        "mirror._PATIENCE_SECONDS = dict.fromkeys(mirror._PATIENCE_SECONDS, 2.0)\n"
        "mirroring._AT_FIRST = mirroring._EACH = timedelta(seconds=1)\n"
        "from headrace.cli import main; main(sys.argv[1:])\n"
    )
    run: dict[str, Any] = {"capture_output": True, "text": True, "env": os.environ | {"PYTHONPATH": SEARCH}}
    words = [str(tiny_set), *ONE, "--set=runtime.mirror=s3://bucket/away", "--out", str(tmp_path / "run")]
    ended = subprocess.run([sys.executable, "-P", str(script), "train", *words], check=False, **run)
    assert ended.returncode == 0, ended.stderr
    last = ended.stdout.splitlines()[-1]
    name = (tmp_path / "run" / "last.pt").resolve().name
    assert all(word in last for word in ("s3://bucket/away: not uploaded", f"checkpoints/{name}", "last.json"))
    assert "warning: mirror: s3://bucket/away" in ended.stdout


def test_mirror_that_makes_no_sense(tiny_set: Path, tmp_path: Path) -> None:
    """Refused before anything is written."""
    for url in ("/some/folder", "https://server/run", "s3://bucket/run?secret"):
        ended = headrace("train", tiny_set, *ONE, f"--set=runtime.mirror={url}", "--out", tmp_path / "none")
        assert (ended.code, "secret" in ended.stderr.replace("runtime.mirror", "")) == (2, False), ended
    assert not (tmp_path / "none").exists()
