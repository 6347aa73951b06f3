"""Prep to a URL: bytes and names of the local set, whatever kills it, and nothing that is there is ever replaced.

The commands of docs/storage.md and docs/commands.md are run here.
"""

import hashlib
import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.shards.leftovers import find_leftovers, remove
from headrace.shards.manifest import load
from headrace.shards.remote import Remote
from headrace.shards.urls import Url
from tests.checkout import SEARCH
from tests.e2e.commands import headrace, refused
from tests.extras.cloud.asked import BUCKET, SECRET
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_reading import files_with

CUT = ("--samples-per-shard", "30", "--workers", "2")


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def contents(s3: S3, prefix: str) -> dict[str, str]:
    """SHA-256 of each file below a prefix, by another library; nothing of the stamp, which has times."""
    client, found = s3.client(), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/"):
        for one in page.get("Contents", ()):
            body = client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
            found[one["Key"].removeprefix(f"{prefix}/")] = hashlib.sha256(body).hexdigest()
    return found | ({"source.stat": ""} if "source.stat" in found else {})


def of_folder(folder: Path) -> dict[str, str]:
    """The same of a local set."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    return found | {"source.stat": ""}


def test_set_is_the_local_one(many: Path, tiny_zip: Path, s3: S3, stage: Path, tmp_path: Path) -> None:
    """Names, bytes and digest; made once, then reused; other options and a rebuild are refused; no secret is left."""
    url = f"s3://{BUCKET}/written"
    made = headrace("prep", tiny_zip, url, *CUT)
    assert made.code == 0, made.stderr
    assert f"{url}: 480 train" in made.stdout
    assert load(many).digest in made.stdout
    assert contents(s3, "written") == of_folder(many)
    s3.count.clear()
    again = headrace("prep", tiny_zip, url, *CUT)
    assert (again.code, "reused" in again.stdout) == (0, True)
    assert {one.method for one in s3.count.requests} == {"GET"}
    moved = tmp_path / "copy.zip"
    moved.write_bytes(tiny_zip.read_bytes())
    assert headrace("prep", moved, url, *CUT).code == 0
    refused(headrace("prep", tiny_zip, url, *CUT, "--seed=1"), 2, "--seed 0 (now 1)", "Choose another OUT")
    refused(headrace("prep", tiny_zip, url, *CUT, "--if-exists=rebuild"), 2, "Choose another OUT")
    refused(headrace("prep", tiny_zip, url, *CUT, "--if-exists=error"), 2, "it exists already")
    refused(headrace("prep", tiny_zip, "https://server/set", *CUT), 2, "cannot be written")
    assert contents(s3, "written") == of_folder(many)
    assert files_with(SECRET, tmp_path) == []
    assert [path.name for path in (stage / "prep").iterdir()] == [".lock"]
    for key in contents(s3, "written"):
        assert SECRET.encode() not in s3.client().get_object(Bucket=BUCKET, Key=f"written/{key}")["Body"].read()


def test_parts_make_the_same_set(many: Path, tiny_zip: Path, s3: S3) -> None:
    """By parts that share nothing but the URL, in any order, one of them twice; the plan is made once."""
    url = f"s3://{BUCKET}/parts"
    words = ("prep", tiny_zip, url, *CUT)
    assert "a plan of 20 shards" in headrace(*words, "--plan-only").stdout
    refused(headrace(*words, "--seed=1", "--part=1/3"), 2, "has other options")
    for part in ("3/3", "1/3", "1/3"):
        ended = headrace(*words, f"--part={part}")
        assert ended.code == 0, ended.stderr
    assert "0 of them made now" in ended.stdout
    ended = headrace(*words)
    assert (ended.code, "13 of 20 shards are done" in ended.stdout) == (0, True), ended
    assert contents(s3, "parts") == of_folder(many)
    assert "nothing to do" in headrace(*words, "--part=1/3").stdout


def test_others_are_refused(tiny_zip: Path, s3: S3) -> None:
    """What no prep put there, and a set of another plan that is being made."""
    s3.client().put_object(Bucket=BUCKET, Key="foreign/notes.txt", Body=b"mine")
    refused(headrace("prep", tiny_zip, f"s3://{BUCKET}/foreign", *CUT), 2, "notes.txt", "Choose another OUT")
    url = f"s3://{BUCKET}/claimed"
    assert headrace("prep", tiny_zip, url, *CUT, "--seed=1", "--part=1/9").code == 0
    refused(headrace("prep", tiny_zip, url, *CUT), 2, "is being made there")


@pytest.mark.faults
def test_twenty_kills(many: Path, tiny_zip: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """At random moments of uploading: the same command continues, and the set is the local one."""
    rng = random.Random(7)
    url, killed = f"s3://{BUCKET}/killed", 0
    command = [sys.executable, "-P", "-m", "headrace", "prep", str(tiny_zip), url, *CUT]
    monkeypatch.setenv("PYTHONPATH", SEARCH)
    s3.pause = 0.15
    try:
        while killed < 20:
            s3.count.clear()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
            while process.poll() is None and not any(one.method == "PUT" for one in s3.count.requests):
                time.sleep(0.01)
            try:
                process.wait(rng.uniform(0, 0.6))
                assert process.returncode == 0
                s3.client().delete_object(Bucket=BUCKET, Key="killed/shardset.json")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
    finally:
        s3.pause = 0.0
    ended = headrace("prep", tiny_zip, url, *CUT)
    assert ended.code == 0, ended.stderr
    assert contents(s3, "killed") == of_folder(many)


def test_server_that_ignores_the_condition(tiny_zip: Path, s3: S3) -> None:
    """It overwrites: so what is there is looked for first, and another set's manifest is never replaced."""
    s3.careless = True
    try:
        remote = Remote(Url(f"s3://{BUCKET}/careless"))
        assert [remote.create("shardset.json", data) for data in (b"one", b"one", b"other")] == [True, True, False]
        assert remote.read("shardset.json", 10) == b"one"
        s3.overtake = ("careless2/shardset.json", b"another")
        ended = headrace("prep", tiny_zip, f"s3://{BUCKET}/careless2", *CUT)
        assert (ended.code, "another set was published there meanwhile" in ended.stderr) == (1, True), ended
    finally:
        s3.careless, s3.overtake = False, ("", b"")


def test_record_beside_another_shard(many: Path, tiny_zip: Path, s3: S3) -> None:
    """Of a shard whose bytes are not there, or of another size, the record does not count; nor does a damaged one."""
    url, words = f"s3://{BUCKET}/damaged", ("prep", tiny_zip, f"s3://{BUCKET}/damaged", *CUT)
    assert headrace(*words, "--part=1/1").code == 0
    client = s3.client()
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix="damaged/.prep")["Contents"]]
    records = sorted(key for key in keys if key.endswith(".record"))
    client.delete_object(Bucket=BUCKET, Key="damaged/train-000001.tar")
    client.put_object(Bucket=BUCKET, Key="damaged/train-000002.tar", Body=b"short")
    client.put_object(Bucket=BUCKET, Key=records[0], Body=b"damaged")
    ended = headrace(*words)
    assert "17 of 20 shards are done" in ended.stdout, ended
    assert contents(s3, "damaged") == of_folder(many)
    assert json.loads(client.get_object(Bucket=BUCKET, Key="damaged/source.stat")["Body"].read())
    assert Url(url).in_bucket


def test_clean(many: Path, tiny_zip: Path, s3: S3) -> None:
    """What a prep left that was given up goes after a day; the set, and files of others, stay."""
    url, words = f"s3://{BUCKET}/left", ("prep", tiny_zip, f"s3://{BUCKET}/left", *CUT)
    assert headrace(*words, "--part=1/9").code == 0
    s3.client().put_object(Bucket=BUCKET, Key="left/mine.txt", Body=b"mine")
    ended = headrace("clean", url, "--delete")
    assert (ended.code, "a prep is or was active there" in ended.stdout) == (0, True)
    remote, later = Remote(Url(url)), datetime.now(UTC) + timedelta(days=2)
    assert len(find_leftovers(remote, later).old) == 3 * 3 + 1 + 6  # tar, .idx, record; the plan and its tables
    assert headrace(*words).code == 0
    assert find_leftovers(remote, later).old == []
    s3.client().put_object(Bucket=BUCKET, Key="left/train-000099.tar", Body=b"left")
    assert "1 more file younger than a day" in headrace("clean", url).stdout
    remove(remote, find_leftovers(remote, later).old)
    assert contents(s3, "left").keys() == of_folder(many).keys() | {"mine.txt"}
    refused(headrace("clean", f"s3://{BUCKET}/nowhere"), 2, "neither a shard set nor an unfinished one")
    refused(headrace("clean", many), 2, "expected a URL of object storage")
