"""What goes wrong between a server and the stage: survived, or one line with the URL and without a secret."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headrace.shards import download
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.remote import Remote
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import Url
from tests.checkout import SEARCH
from tests.disks import in_namespace
from tests.e2e.commands import headrace, refused
from tests.extras.cloud.asked import SECRET
from tests.extras.cloud.faulty import Faulty
from tests.extras.cloud.s3 import S3

SIGNED = "?sig=SIGNEDsecret&se=2030"
TAR = "train-000003.tar"


@pytest.fixture(autouse=True)
def environment(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)


def images(url: str) -> list[bytes]:
    """All training images of a set."""
    split = ShardSet.open(url)["train"]
    try:
        return [image.tobytes() for image in split.jpegs(np.arange(len(split)))]
    finally:
        split.close()


@pytest.mark.parametrize(
    "wrong",
    [
        [503] * 8,
        [429, 500, 502],
        ["cut"] * 4,
        ["reset", "cut"],
        ["stall"],
        ["half"],
        ["half", "half", "half"],
        ["flip"],
        ["cut", "flip"],
    ],
    ids=str,
)
@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "untagged"])
def test_survived(wrong: list[int | str], tagged: bool, faulty: Faulty, many: Path) -> None:
    """The images are those of the local set, whether or not the server names versions of its files."""
    faulty.tagged = tagged
    faulty.faults = {TAR: list(wrong), "train.parquet": list(wrong), "shardset.json": [503, 503]}
    assert images(faulty.url) == images(str(many))
    assert faulty.faults[TAR] == []


@pytest.mark.parametrize("wrong", [[], ["cut", "cut"], ["flip"]], ids=str)
def test_server_without_ranges(wrong: list[int | str], faulty: Faulty, many: Path, stage: Path) -> None:
    """What was there of a tar is given up, and all of it comes again."""
    faulty.ranges, faulty.faults = False, {TAR: list(wrong)}
    sha = next(
        shard.sha256 for split in ShardSet.open(many).manifest.splits for shard in split.shards if shard.name == TAR
    )
    partial = stage / "tars" / sha[:2] / f"{sha}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes((many / TAR).read_bytes()[:1000])
    assert images(faulty.url) == images(str(many))


def told(url: str, kind: type[HeadraceError]) -> str:
    """The one line of an error, which names the URL and nothing secret."""
    with pytest.raises(kind) as caught:
        images(f"{url}{SIGNED}")
    line = str(caught.value)
    assert url in line
    assert "\n" not in line
    error: BaseException | None = caught.value
    while error is not None:
        assert "SIGNED" not in str(error)
        assert SECRET not in str(error)
        error = error.__cause__
    return line


def test_bytes_that_are_always_wrong_end_with_both_hashes(faulty: Faulty, many: Path, stage: Path) -> None:
    """Fetched twice, then a line with the hash that came and the one of the manifest; no such tar is kept."""
    faulty.faults = {TAR: ["flip", "flip", "flip", "flip"]}
    line = told(faulty.url, DataError)
    sha = next(
        shard.sha256 for split in ShardSet.open(many).manifest.splits for shard in split.shards if shard.name == TAR
    )
    assert f"{faulty.url}/{TAR}" in line
    assert sha in line
    assert not (stage / "tars" / sha[:2] / f"{sha}.tar").exists()
    assert len(faulty.faults[TAR]) == 2


def test_tar_that_is_shorter_there(faulty: Faulty, many: Path, tmp_path: Path) -> None:
    """A tar that was cut where it lies is no tar of this set, however often it is asked for."""
    faulty.folder = tmp_path / "cut"
    faulty.folder.mkdir()
    for path in many.iterdir():
        (faulty.folder / path.name).write_bytes(path.read_bytes()[: -5000 if path.name == TAR else None])
    assert TAR in told(faulty.url, DataError)


def test_tar_that_is_gone(faulty: Faulty) -> None:
    """One line; as in a folder, a set without a tar that its manifest names is damaged."""
    faulty.gone = {TAR}
    assert f"{faulty.url}/{TAR}: no such file, although the manifest names it" in told(faulty.url, DataError)


@pytest.mark.parametrize("code", [401, 403])
def test_access_that_is_denied_in_mid_run(code: int, faulty: Faulty) -> None:
    """One line; what is there is kept."""
    faulty.faults = {TAR: [code] * 99}
    assert "access is denied" in told(faulty.url, UsageError)


def test_part_of_a_tar_that_is_there_is_removed(faulty: Faulty, stage: Path) -> None:
    """A process that looked for a tar just before another had all of it leaves no part, which would count as room."""
    shards = ShardSet.open(faulty.url)
    assert shards.remote is not None
    shard, place = shards.manifest.splits[0].shards[0], shards.remote.depot.stage
    file = download.File(shard.name, shard.bytes, shard.sha256)
    for _ in range(2):
        place.reserve(shard.sha256)
        download.fetch(shards.remote.depot.remote, file, place.tar(shard.sha256))
        assert [path.suffix for path in stage.glob("tars/*/*")] == [".tar"]
    assert faulty.count.tars == {shard.name: 1}


def test_server_that_goes_on_failing(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """After all retries a line says the status, and that what is there is kept."""
    from datetime import timedelta

    from headrace.shards import remote

    monkeypatch.setattr(remote, "_PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(Remote.__init__, "__defaults__", (timedelta(seconds=1),))
    monkeypatch.setattr(download, "_TRIES", 2)
    faulty.faults = {TAR: [503] * 999}
    line = told(faulty.url, HeadraceError)
    assert "HTTP 503" in line
    assert "kept" in line


def test_no_set_there(faulty: Faulty, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing manifest, a missing bucket, a wrong key."""
    faulty.gone = {"shardset.json"}
    assert "no shardset.json there" in told(faulty.url, UsageError)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"s3://bucket/none: no shardset\.json there"):
        ShardSet.open("s3://bucket/none")


def test_damaged_manifest_is_named(faulty: Faulty, many: Path, tmp_path: Path) -> None:
    """By its URL, with what can be done."""
    faulty.folder = tmp_path / "damaged"
    faulty.folder.mkdir()
    (faulty.folder / "shardset.json").write_bytes((many / "shardset.json").read_bytes().replace(b'"n', b'"m', 1))
    assert "headrace verify" in told(faulty.url, DataError)


def test_disk_that_fills_up(faulty: Faulty, heavy: Path, tmp_path: Path) -> None:
    """One line with what is free; what fits is kept."""
    faulty.folder = heavy
    script = """
    mount -t tmpfs -o size=12m,mode=700 none "$1"; cd "$1"
    HEADRACE_STAGE_DIR=$1 HEADRACE_STAGE_LIMIT=1GB PYTHONPATH=$5 "$2" -c "$3" "$4"; ls tars/*/*.tar | wc -l
    """
    program = (
        "import sys; import numpy as np; from headrace.cli import main\n"
        "from headrace import ShardSet, HeadraceError\n"
        "try: ShardSet.open(sys.argv[1])['train'].jpegs(np.arange(160))\n"
        "except HeadraceError as error: print(error)\n"
    )
    ended = in_namespace(script, tmp_path, sys.executable, program, faulty.url, SEARCH)
    line, count = ended.stdout.splitlines()
    assert "the disk is full" in line
    assert int(count) >= 3


def test_verify_names_what_is_wrong_there(faulty: Faulty, many: Path, tmp_path: Path) -> None:
    """Of the files as they are there now, whatever is staged; nothing of it stays in the stage."""
    assert images(faulty.url)
    faulty.folder = tmp_path / "damaged"
    faulty.folder.mkdir()
    for path in many.iterdir():
        (faulty.folder / path.name).write_bytes(path.read_bytes())
    content = bytearray((many / TAR).read_bytes())
    content[1500] ^= 1
    (faulty.folder / TAR).write_bytes(content)
    (faulty.folder / "val-000001.tar").unlink()
    ended = headrace("verify", faulty.url, env=faulty.environment)
    assert ended.code == 3
    assert f"{faulty.url}/{TAR}: SHA-256" in ended.stdout
    assert f"{faulty.url}/val-000001.tar: No such file" in ended.stdout
    assert "Upload it again" in ended.stderr
    assert [path.name for path in (Path(os.environ["HEADRACE_STAGE_DIR"]) / "verify").iterdir()] == [".lock"]


def test_commands_say_it_in_one_line(faulty: Faulty) -> None:
    """Exit codes are those of local sets; without the variable plain http is refused."""
    faulty.gone = {"shardset.json"}
    refused(headrace("train", f"{faulty.url}{SIGNED}", env=faulty.environment), 2, "no shardset.json there")
    refused(headrace("inspect", "https://me:secret@server/set"), 2, "so it is refused")
    del os.environ["AWS_ALLOW_HTTP"]
    refused(headrace("inspect", faulty.url), 2, "AWS_ALLOW_HTTP=true")


FORK = """
import os, signal, sys
from headrace.shards.remote import Remote
from headrace.shards.urls import Url
remote = Remote(Url(sys.argv[1]))
remote.size("shardset.json")
child = os.fork()
if not child:
    signal.alarm(20)
    try:
        remote.size("shardset.json")
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(7)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_forked_process_is_told(faulty: Faulty) -> None:
    """It would wait for ever for threads that it does not have."""
    run = subprocess.run(
        [sys.executable, "-c", FORK, faulty.url],
        env=os.environ | {"PYTHONPATH": SEARCH},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == [
        (
            "this process was forked after object storage was used, so it cannot use the storage. Start it with "
            "the method spawn, not fork"
        ),
        "7",
    ]


def test_stores_are_never_pickled(faulty: Faulty) -> None:
    """They hold credentials."""
    import pickle

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Remote(Url(faulty.url)))


def test_create_only(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there stays; whoever asks learns whether it has his bytes."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    remote = Remote(Url("s3://bucket/writing"))
    assert [remote.create("a.json", data) for data in (b"one", b"one", b"other")] == [True, True, False]
    assert remote.read("a.json", 100) == b"one"
    assert [(one.name, one.bytes) for one in remote.list()] == [("a.json", 3)]
    remote.put("b.tar", Path(__file__))
    assert remote.size("b.tar") == Path(__file__).stat().st_size
    remote.remove("b.tar")
    assert [one.name for one in remote.list()] == ["a.json"]
