"""What goes wrong while something is uploaded, and credentials: survived, or one line with the URL and no secret."""

import json
import sys
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from headrace.shards import remote as storage
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.remote import Remote
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url
from tests.e2e.commands import here, refused
from tests.extras.cloud.asked import BUCKET, SECRET
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_reading import files_with
from tests.extras.cloud.test_writing import CUT, contents, of_folder

LARGE = 12 << 20  # bytes: more than one part


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it; a silent server is given up after 2 s."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_READ_TIMEOUT", "2s")
    s3.faults, s3.refusal = [], (0, "")


WRONG: list[list[int | str]] = [[503] * 6, [429, 500, 502], ["cut", "cut"], ["lost"], ["stall"]]
MIXED: list[int | str] = ["", "", "cut", 503, "lost"]


@pytest.mark.parametrize(("wrong", "size"), [*product(WRONG, [1000, LARGE]), (MIXED, LARGE)], ids=str)
def test_uploads_survive(wrong: list[int | str], size: int, s3: S3, tmp_path: Path) -> None:
    """Throttling, cut bodies, lost answers and silence, also of parts: what is there at the end is the file."""
    path, remote = tmp_path / "file", Remote(Url(f"s3://{BUCKET}/uploads"))
    path.write_bytes(bytes(range(250)) * (size // 250))
    s3.faults = list(wrong)
    remote.put("file", path)
    assert s3.faults == []
    assert remote.read("file", 2 * LARGE) == path.read_bytes()


@pytest.mark.parametrize("wrong", [[503, 503], ["cut"], ["lost"]], ids=str)
def test_prep_survives(wrong: list[int | str], many: Path, tiny_zip: Path, s3: S3) -> None:
    """The claim, a shard and the manifest, each met by it: the set is the local one."""
    client, url = s3.client(), f"s3://{BUCKET}/survived"
    for one in client.list_objects_v2(Bucket=BUCKET, Prefix="survived/").get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    s3.faults = [one for place in range(50) for one in ("", *wrong) if place % 4 == 0 or not one]
    made = here("prep", tiny_zip, url, *CUT[:2], "--workers", "1")
    assert made.code == 0, made.stderr
    s3.faults = []
    assert contents(s3, "survived") == of_folder(many)


def test_upload_that_goes_on_failing(s3: S3, tmp_path: Path) -> None:
    """One line with the URL and the status; nothing of what the server said, which may be a secret."""
    path = tmp_path / "file"
    path.write_bytes(b"1" * 1000)
    remote = Remote(Url(f"s3://{BUCKET}/uploads"), timedelta(seconds=1))
    s3.faults = [503] * 999
    with pytest.raises(HeadraceError, match=f"s3://{BUCKET}/uploads/failing: HTTP 503") as caught:
        remote.put("failing", path)
    assert SECRET not in f"{caught.value}{caught.value.__cause__}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "the credentials have expired"),
        (400, "InvalidToken", "access is denied"),
        (403, "RequestTimeTooSkewed", "access is denied"),
        (403, "InvalidAccessKeyId", "access is denied"),
    ],
)
def test_credentials_that_are_refused(status: int, code: str, words: str, tiny_zip: Path, s3: S3) -> None:
    """At once, and in one line: reading, prep from and to a URL, and index."""
    url, said = f"s3://{BUCKET}/refused", f"{words} (HTTP {status} "
    s3.refusal = (status, code)
    for command in (("inspect", url), ("prep", tiny_zip, url, *CUT), ("prep", url, "out"), ("index", url)):
        refused(here(*command), 2, url, said, code)
    s3.refusal = (0, "")


def profile(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str = "mine") -> None:
    """A shell that has a profile, and no keys."""
    (folder / "credentials").write_text(f"[default]\naws_access_key_id = OTHER\n\n[{name}]\n{text}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key, raising=False)


def test_profile_of_boto3(many: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Path) -> None:
    """Its keys sign all requests, and are written nowhere."""
    url = s3.upload(many, "profile")
    profile(tmp_path, monkeypatch, f"aws_access_key_id = MINE\naws_secret_access_key = {SECRET}")
    s3.keys.clear()
    assert len(ShardSet.open(url)["val"].jpegs(range(3))) == 3  # type: ignore[arg-type]
    assert s3.keys == {"MINE"}
    assert files_with(SECRET, stage) == []


def test_profile_that_is_renewed(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys that run out are asked for again while a store lives: every 5 minutes, which here are none."""
    keys = tmp_path / "keys.py"
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    given = {"Version": 1, "SecretAccessKey": SECRET, "SessionToken": "token", "Expiration": soon}
    keys.write_text(f"import json, time\nprint(json.dumps({given} | {{'AccessKeyId': f'K{{time.time_ns()}}'}}))\n")
    profile(tmp_path, monkeypatch, f"credential_process = {sys.executable} {keys}")
    monkeypatch.setattr(storage, "_ASKED_AGAIN", timedelta(0))
    remote = Remote(Url(f"s3://{BUCKET}/renewed"))
    s3.keys.clear()
    for number in range(3):
        remote.put(f"{number}", b"1")
    assert len(s3.keys) >= 2
    assert {key[0] for key in s3.keys} == {"K"}


def test_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Or has no keys: one line that names the variable."""
    url = f"s3://{BUCKET}/set"
    profile(tmp_path, monkeypatch, "region = x", name="other")
    refused(here("inspect", url), 2, url, "AWS_PROFILE", "ProfileNotFound")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    profile_of_none = (tmp_path / "credentials").read_text().replace("[other]", "[mine]")
    (tmp_path / "credentials").write_text(profile_of_none)
    refused(here("inspect", url), 2, url, "AWS_PROFILE")
    (tmp_path / "failing.py").write_text(f"raise SystemExit({json.dumps(SECRET)})")
    (tmp_path / "credentials").write_text(f"[mine]\ncredential_process = {sys.executable} {tmp_path / 'failing.py'}\n")
    with pytest.raises(UsageError, match="AWS_PROFILE") as caught:
        ShardSet.open(url)
    assert SECRET not in str(caught.value)
