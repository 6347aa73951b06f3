"""What `verify` tells the owner of a damaged set to do: the command is taken from its error line and run."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from headrace import cli
from headrace.prep.adopt import adopt
from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards.manifest import NAME, load
from headrace.shards.names import REPORT, STAMP
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_folder
from tests.prep.damage import tarred, tree
from tests.prep.test_fuzz import pictures

JPEGS = list(tree().values())
Damage = Callable[[bytes, bytes], bytes | None]  # the file and that of another set; None: the file is removed
DAMAGES: dict[str, Damage] = {
    "missing": lambda _whole, _other: None,
    "cut": lambda whole, _: whole[: len(whole) // 2],
    "flipped": lambda whole, _: (
        whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
    ),
    "empty": lambda _whole, _other: b"",
    "replaced": lambda _, other: other,
}
FILES = {
    "prepared": ("train-000000.tar", "val-000000.tar", "train-000001.idx", "train.parquet", NAME, REPORT, STAMP),
    "adopted": ("train-0.tar", "val-0.tar", "train-1.idx", "train.parquet", NAME),
    "adopted in part": ("train-0.tar", "val-0.tar", "train-1.idx", "train.parquet", NAME, REPORT),
}
# In a set of prep no sample depends on the last two. An adopted set without unusable samples has no report.
CASES = [(kind, file, damage) for kind, files in FILES.items() for file in files for damage in DAMAGES]
FEW = CASES[::3]


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the commands start no processes."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})


def headrace(*words: object) -> Result:
    """Run a command in this process, which may end only with expected errors."""
    done = CliRunner().invoke(cli.main, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def prepared(room: Path, first: int) -> None:
    """A set that prep made in several shards, with one converted image and one left out."""
    names = [f"{split}/{word}/{k}.jpg" for split in ("train", "val") for word in ("ant", "cat") for k in range(3)]
    files = dict(zip(names, JPEGS[first:] + JPEGS[:first], strict=True))
    files |= {"train/ant/x.png": pictures()["png"], "train/cat/y.jpg": JPEGS[0][:-30]}
    source = as_folder(files, room / "source")
    prep(
        source,
        room / "set",
        Options(seed=3, samples_per_shard=3, on_bad="skip"),
        workers=1,
        if_exists="error",
        say=print,
    )


def adopted(room: Path, first: int, *, unusable: bool) -> None:
    """A set of four adopted tars; the labels are words if some samples are unusable."""
    (room / "set").mkdir()
    for number, name in enumerate(("train-0", "train-1", "val-0", "val-1")):
        members: dict[bytes, bytes] = {}
        for k in range(3):
            label = (b"ant", b"cat")[k % 2] if unusable else b"%d" % (k % 2)
            members |= {b"%d.jpg" % k: JPEGS[(3 * number + k + first) % 12], b"%d.cls" % k: label}
        if unusable:
            members |= {b"8.jpg": JPEGS[number][:-30], b"8.cls": b"ant", b"9.jpg": JPEGS[number]}
        (room / "set" / f"{name}.tar").write_bytes(tarred(members))
    adopt(room / "set", say=print)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """For each kind of set, a folder to copy it from, and the folder of another set with the same names."""
    made: dict[str, tuple[Path, Path]] = {}
    for kind in FILES:
        both = (tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other"))
        for first, room in enumerate(both):
            if kind == "prepared":
                prepared(room, first)
            else:
                adopted(room, first, unusable=kind == "adopted in part")
        made[kind] = both
    return made


def run(line: str, source: Path) -> str:
    """Run the command in backquotes at the end of the error line, and return what headrace says."""
    command = re.findall(r"`([^`]+)`", line)[-1].replace("SOURCE", str(source))
    assert "headrace" in command
    said = ""
    for part in command.split(" && "):
        name, *words = shlex.split(part)
        if name == "headrace":
            done = headrace(*words)
            assert done.exit_code == 0, (line, done.output)
            said += done.stdout
        else:
            assert name in {"rm", "mv", "mkdir"}
            subprocess.run([name, *words], check=True)
    return said


def samples(root: Path) -> set[tuple[str, str, bytes]]:
    """Split, class and image of every sample."""
    found, shards = set(), ShardSet.open(root)
    for name in shards.split_names:
        split = shards.split(name)
        images = [one.tobytes() for one in split.jpegs(np.arange(len(split)))]
        found |= {(name, shards.class_ids[label], image) for label, image in zip(split.labels, images, strict=True)}
        split.close()
    return found


def below(folder: Path) -> set[bytes]:
    """The contents of all tars in the folder, at any depth."""
    return {path.read_bytes() for path in folder.rglob("*.tar")}


def check_remedy(rooms: tuple[Path, Path], room: Path, file: str, damage: str) -> None:
    """Damage a file of a copied set, do what the error line says, and compare the result."""
    one, other = rooms
    root = Path(shutil.copytree(one / "set", room / "my set"))
    spoilt = DAMAGES[damage]((root / file).read_bytes(), (other / "set" / file).read_bytes())
    (root / file).unlink() if spoilt is None else (root / file).write_bytes(spoilt)
    whole, tars, is_adopted = samples(one / "set"), below(room), load(one / "set").made is None
    done = headrace("verify", root)
    if file in {REPORT, STAMP}:
        assert done.exit_code == 0  # no sample depends on it
        return
    assert done.exit_code == (2 if (file, damage) == (NAME, "missing") else 3)
    run(done.stderr.splitlines()[-1], one / "source")
    assert headrace("verify", "--deep", root).exit_code == 0
    if is_adopted:
        assert below(room) == tars, "a tar that may be the user's only one is gone"
    lost = is_adopted and file.endswith(".tar")
    assert samples(root) < whole if lost else samples(root) == whole
    if not lost:
        assert load(root).digest == load(one / "set").digest


@pytest.mark.parametrize(("kind", "file", "damage"), FEW)
def test_remedy_of_some_damages(
    rooms: dict[str, tuple[Path, Path]], tmp_path: Path, kind: str, file: str, damage: str
) -> None:
    """The command in the error line makes the damaged set sound, and no tar of a user is lost."""
    check_remedy(rooms[kind], tmp_path, file, damage)


@pytest.mark.faults
@pytest.mark.parametrize(("kind", "file", "damage"), [case for case in CASES if case not in FEW])
def test_remedy_of_the_other_damages(
    rooms: dict[str, tuple[Path, Path]], tmp_path: Path, kind: str, file: str, damage: str
) -> None:
    """The same holds for every other damage to every kind of file of every kind of set."""
    check_remedy(rooms[kind], tmp_path, file, damage)


@pytest.fixture
def set_of_others(rooms: dict[str, tuple[Path, Path]], tmp_path: Path) -> Path:
    """A copy of the adopted set with labels that are words, and unusable samples."""
    return Path(shutil.copytree(rooms["adopted in part"][0] / "set", tmp_path / "set"))


@pytest.fixture
def set_of_prep(rooms: dict[str, tuple[Path, Path]], tmp_path: Path) -> Path:
    """A copy of the set that prep made."""
    return Path(shutil.copytree(rooms["prepared"][0] / "set", tmp_path / "set"))


def test_one_command_for_all_damages(set_of_others: Path, tmp_path: Path) -> None:
    """If several files are damaged, one command leaves out all the damaged tars and overwrites nothing."""
    (set_of_others / "damaged-1").mkdir()
    (set_of_others / "train-1.tar").unlink()
    for name in ("train-0.tar", "val-0.tar", "val.parquet"):
        (set_of_others / name).write_bytes(b"damaged")
    run(headrace("verify", set_of_others).stderr, tmp_path)
    assert "sound. 3 samples in 1 shards" in headrace("verify", "--deep", set_of_others).stdout
    assert {path.name for path in (set_of_others / "damaged-2").iterdir()} == {"train-0.tar", "val-0.tar"}
    assert (set_of_others / REPORT).read_text().count("val-1.tar") == 2


def test_tar_that_came_back(set_of_others: Path) -> None:
    """The set is sound once its tars are back; without any tar the error only says to get them."""
    for path in set_of_others.glob("*.tar"):
        path.rename(path.with_suffix(".away"))
    done = headrace("verify", set_of_others)
    assert "Get these 4 tars again: the folder has no other tars" in done.stderr
    assert "`" not in done.stderr
    for path in set_of_others.glob("*.away"):
        path.rename(path.with_suffix(".tar"))
    assert headrace("verify", set_of_others).exit_code == 0


def test_report_is_that_of_the_last_index(set_of_others: Path) -> None:
    """A report of unusable samples is removed when those samples are gone."""
    for path in set_of_others.glob("*.tar"):
        path.unlink()
    (set_of_others / NAME).unlink()
    (set_of_others / "new.tar").write_bytes(tarred({b"0.jpg": JPEGS[0], b"0.cls": b"0"}))
    assert headrace("index", set_of_others).exit_code == 0
    assert not (set_of_others / REPORT).exists()


def test_image_that_is_no_longer_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named command leaves an image that does not decode out of an adopted set, though its tar is sound."""
    (tmp_path / "set").mkdir()
    members = {b"0.jpg": JPEGS[0], b"0.cls": b"ant", b"1.jpg": JPEGS[1][:-30], b"1.cls": b"ant"}
    (tmp_path / "set" / "train-0.tar").write_bytes(tarred(members))
    with monkeypatch.context() as patch:
        patch.setattr("headrace.prep.scan.sides", lambda _: (8, 8))
        assert headrace("index", tmp_path / "set").exit_code == 0
    done = headrace("verify", "--deep", tmp_path / "set")
    assert (done.exit_code, "1.jpg: not a sound JPEG" in done.stdout) == (3, True)
    run(done.stderr, tmp_path)
    assert "sound. 1 samples" in headrace("verify", "--deep", tmp_path / "set").stdout
    assert "not a sound JPEG" in (tmp_path / "set" / REPORT).read_text()


def test_what_only_the_index_knew(rooms: dict[str, tuple[Path, Path]], set_of_prep: Path, tmp_path: Path) -> None:
    """A lost Parquet file of prep's is made again without the paths in the source, and one line says so.

    With the .idx lost alone all bytes are as they were, also of images that prep converted.
    """
    whole = rooms["prepared"][0] / "set"
    (set_of_prep / "train-000001.idx").unlink()
    assert "source" not in run(headrace("verify", set_of_prep).stderr, tmp_path)
    assert {path.name: path.read_bytes() for path in set_of_prep.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }
    (set_of_prep / "train.parquet").unlink()
    said = run(headrace("verify", set_of_prep).stderr, tmp_path)
    assert said.count("train.parquet was missing or damaged, and only it had the paths of the samples") == 1
    assert "val.parquet" not in said
    split = ShardSet.open(set_of_prep).split("train")
    assert split.sources[0] == f"train-000000.tar/{split.keys[0]}"


def test_source_that_is_not_known(set_of_prep: Path, rooms: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    """Without a stamp the command has a placeholder for the source, and the old folder is renamed and kept."""
    (set_of_prep / STAMP).unlink()
    (set_of_prep / "train-000000.tar").unlink()
    done = headrace("verify", set_of_prep)
    assert "headrace prep SOURCE" in done.stderr
    said = run(done.stderr, rooms["prepared"][0] / "source")
    assert f"kept the previous content as {tmp_path / 'set.old-1'}" in said
    assert (tmp_path / "set.old-1" / "val-000000.tar").exists()
    assert load(set_of_prep).digest == load(rooms["prepared"][0] / "set").digest
