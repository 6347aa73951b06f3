"""Appending to a set at a URL: what is there stays and is not uploaded again, the manifest is replaced by its tag."""

import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.prep.append import append
from headrace.prep.append_at import append_to_url
from headrace.prep.command.options import Options
from headrace.prep.convert import make_set
from headrace.shards.errors import HeadraceError
from headrace.shards.manifest import load
from headrace.shards.remote import Remote
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url
from tests.checkout import SEARCH
from tests.e2e.commands import headrace, refused
from tests.extras.cloud.asked import BUCKET
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_writing import CUT, contents, of_folder
from tests.prep.contents import more_of_the_demo

PART = (*CUT, "--val-fraction=0.2")
MORE = (*PART, "--append")
MAKING = "headrace.prep.append_at.make_set"


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 images of the same classes, of which 24 are for validation."""
    return more_of_the_demo(tmp_path_factory.mktemp("more"), 1, 10)


@pytest.fixture(scope="session")
def grown(many: Path, more: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a folder."""
    out = Path(shutil.copytree(many, tmp_path_factory.mktemp("grown") / "set"))
    append(more, out, Options(samples_per_shard=30, val_fraction=0.2), new_classes=False, workers=1, say=print)
    return out


def test_set_is_the_local_one(many: Path, grown: Path, more: Path, tiny_zip: Path, s3: S3) -> None:
    """Names, bytes and digest; nothing of before is uploaded again; each part is then found, and others are refused."""
    url = s3.upload(many, "grown")
    made = headrace("prep", more, url, *MORE)
    assert made.code == 0, made.stderr
    assert (load(grown).digest in made.stdout, "120 samples appended" in made.stdout) == (True, True)
    assert contents(s3, "grown") == of_folder(grown)
    put = {one.path.rpartition("/")[2] for one in s3.count.requests if one.method == "PUT"}
    assert not put & {path.name for path in many.iterdir()} - {"shardset.json", "report.jsonl", "source.stat"}
    s3.count.clear()
    for words in ((more, url, *MORE), (more, url, *PART), (tiny_zip, url, *CUT)):
        again = headrace("prep", *words)
        assert (again.code, "reused" in again.stdout) == (0, True), again
    assert {one.method for one in s3.count.requests} == {"GET"}
    assert "sound" in headrace("verify", url).stdout
    refused(headrace("prep", more, f"s3://{BUCKET}/nothing", *MORE), 2, "there is no shard set to append to")
    refused(headrace("prep", more, "https://server/set", *MORE), 2, "cannot be written")


def test_reader_of_the_old_set_goes_on(many: Path, more: Path, s3: S3) -> None:
    """It has the manifest of before, and fetches its tars after the append."""
    url = s3.upload(many, "read")
    old = ShardSet.open(url)
    split = old.split("train")
    assert headrace("prep", more, url, *MORE).code == 0
    assert [split[row].jpeg for row in range(0, 480, 60)] == [
        ShardSet.open(many).split("train")[row].jpeg for row in range(0, 480, 60)
    ]


def test_killed_while_it_uploads(many: Path, grown: Path, more: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest and all that it names are those of before or of after; the same command continues."""
    rng, url = random.Random(5), s3.upload(many, "killed-append")
    before, after = of_folder(many), of_folder(grown)
    command = [sys.executable, "-P", "-m", "headrace", "prep", str(more), url, *MORE]
    monkeypatch.setenv("PYTHONPATH", SEARCH)
    s3.pause = 0.1
    try:
        for _ in range(4):
            s3.count.clear()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
            while process.poll() is None and not any(one.method == "PUT" for one in s3.count.requests):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1.5))
            process.kill()
            process.wait()
            now = contents(s3, "killed-append")
            whole = after if now["shardset.json"] == after["shardset.json"] else before
            kept = whole.keys() - {"report.jsonl", "source.stat"}
            assert {name: now[name] for name in kept} == {name: whole[name] for name in kept}
    finally:
        s3.pause = 0.0
    assert headrace("prep", more, url, *MORE).code == 0
    found = contents(s3, "killed-append")
    assert {name: found[name] for name in after} == after


def test_stale_tag_is_an_error(
    many: Path, grown: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another prep replaced the manifest while this one made shards: one line, and the other's set stays."""
    url, other = Url(s3.upload(many, "stale")), more_of_the_demo(tmp_path / "c", 2, 3)
    real = make_set

    def overtaken(*given: object) -> object:
        made = real(*given)  # type: ignore[arg-type]
        Remote(url).put("shardset.json", (grown / "shardset.json").read_bytes())
        return made

    with monkeypatch.context() as patch:
        patch.setattr(MAKING, overtaken)
        with pytest.raises(HeadraceError, match="another prep has changed the set since this prep read it"):
            append_to_url(other, url, Options(val_fraction=0.4), new_classes=False, workers=1, say=print)
    now = contents(s3, "stale")["shardset.json"]
    assert now == hashlib.sha256((grown / "shardset.json").read_bytes()).hexdigest()
    tag = Remote(url).read_tagged("shardset.json", 1 << 20)[1]
    assert not Remote(url).replace("shardset.json", b"{}", dict(tag) | {"e_tag": '"0"'})
    assert Remote(url).replace("shardset.json", b"{}", tag)


def test_two_at_once(many: Path, more: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While one makes its shards another is refused; a claim of a dead one, for an earlier manifest, stops nobody."""
    url, other = Url(s3.upload(many, "two")), more_of_the_demo(tmp_path / "c", 2, 3)
    real, said = make_set, list[str]()

    def with_another(*given: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(MAKING, real)
            patch.setenv("HEADRACE_STAGE_DIR", str(tmp_path / "elsewhere"))
            with pytest.raises(HeadraceError, match="is being made there") as error:
                append_to_url(other, url, Options(val_fraction=0.4), new_classes=False, workers=1, say=print)
        said.append(str(error.value))
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(MAKING, with_another)
    append_to_url(more, url, Options(val_fraction=0.2), new_classes=False, workers=1, say=print)
    monkeypatch.setattr(MAKING, real)
    assert len(said) == 1
    s3.client().put_object(Bucket=BUCKET, Key="two/.prep/plan.json", Body=b'{"id": "0", "onto": "1"}')
    result = append_to_url(other, url, Options(val_fraction=0.4), new_classes=False, workers=1, say=print)
    assert (result.added, len(result.manifest.parts)) == (36, 3)
    assert [name for name in contents(s3, "two") if name.startswith(".prep")] == []
