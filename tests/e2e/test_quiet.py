"""On a machine without a network all works and asks for nothing; what it leaves names neither user nor machine."""

import gzip
import ipaddress
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests import machines
from tests.checkout import ROOT
from tests.contents import found
from tests.machines import HOST, SECRETS, USER, Notes

pytestmark = pytest.mark.timeout(1300)
SECONDS = 1200
GIVEN = ("pictures.zip", "classes.txt", "own.toml", "photographs", "listed.csv")
STAYS = {
    "listed/train.parquet": "a set made from a listing with absolute paths",
    "listed/val.parquet": "a set made from a listing with absolute paths",
    "absolute.parquet": "what `headrace predict` writes for absolute paths",
}
"""Files that hold the home folder, with the words of docs/security.md about each."""
PAGE = (ROOT / "docs/security.md").read_text("utf-8")


@pytest.fixture(scope="module")
def home(tiny_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a user: pictures, the list of their classes, a recipe, and a listing of photographs."""
    folder = tmp_path_factory.mktemp("users") / "home-of-quill"
    folder.mkdir()
    shutil.copy(tiny_zip, folder / "pictures.zip")
    (folder / "classes.txt").write_text("".join(f"n{90000000 + number}\n" for number in range(12)))
    shutil.copy(ROOT / "train/recipe/shipped/demo.toml", folder / "own.toml")
    (folder.parent / "tmp").mkdir()
    with zipfile.ZipFile(tiny_zip) as archive:
        names = [name for name in archive.namelist() if "/train/" in name and name.endswith("_7.JPEG")]
        names += [name.replace("_7.", "_8.") for name in names]
        for name in names:
            path = folder / "photographs" / Path(name).name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive.read(name))
    rows = [f"{path},{path.name.partition('_')[0]}\n" for path in sorted((folder / "photographs").iterdir())]
    (folder / "listed.csv").write_text("".join(["path,label\n", *rows]))
    return folder


@pytest.fixture(scope="module")
def notes(home: Path) -> Notes:
    """What was seen while all commands ran in the home folder, without a network."""
    command = [
        sys.executable,
        "-P",
        "-c",
        f"import os; os.chdir({str(home)!r}); import tests.e2e.whole_way as way; way.main()",
    ]
    env = machines.environment(home, TMPDIR=str(home.parent / "tmp"))
    return machines.run(home.parent, command, env, SECONDS)


def test_everything_works_without_a_network(notes: Notes) -> None:
    """Each command ends well, also with two processes, which communicate over the loopback interface."""
    assert notes.ended.returncode == 0, notes.ended.stderr


def test_nobody_is_asked(notes: Notes) -> None:
    """No name is looked up, not even the host's own, and no address beyond the loopback interface is tried."""
    assert notes.asked == []
    assert notes.unroutable == 0


def test_only_this_machine_can_connect(notes: Notes) -> None:
    """The ranks listen on the loopback interface alone, though there is another; --nproc 2 needs them to listen."""
    assert notes.listened != []
    assert [one for one in notes.listened if not ipaddress.ip_address(one).is_loopback] == []


@pytest.mark.usefixtures("notes")
def test_files_name_neither_user_nor_machine(home: Path) -> None:
    """No file holds the home folder, the folders of the installation, a name of user or host, or a token."""
    words = {
        "home folder": str(home),
        "user": USER,
        "host": HOST,
        "checkout": str(ROOT),
        "Python": sys.prefix,
    } | SECRETS
    lines = [line for line in found(home, words) if line.split(":")[0].split("/")[0] not in GIVEN]
    assert sorted(lines) == sorted(f"{name}: home folder" for name in STAYS)


def test_exceptions_are_documented() -> None:
    """The page names each kind of file that does hold a path."""
    assert [words for words in STAYS.values() if words not in PAGE] == []


@pytest.mark.usefixtures("notes")
def test_report_of_an_installation_names_nobody(home: Path) -> None:
    """Neither does what `headrace --version --json` prints."""
    printed = home.with_name("version.out").read_text()
    assert '"headrace"' in printed
    assert [word for word in (str(home), USER, HOST, str(ROOT), *SECRETS.values()) if word in printed] == []


@pytest.mark.usefixtures("notes")
def test_nothing_lies_anywhere_else(home: Path) -> None:
    """What was written is what the commands were told to write; the folder for temporary files is empty."""
    made = {"set", "run", "decoded", "evaluated", "answers.csv", "exported", "sheet.png", "seen.png"}
    made |= {"listed", "absolute.parquet"}
    assert {path.name for path in home.iterdir()} == {*GIVEN, *made}
    # torch makes this folder in the process that commands of tests are forked from, before it knows of the cache
    left = [path.name for path in (home.parent / "tmp").iterdir() if path.name != f"torchinductor_{USER}"]
    assert left == []


@pytest.mark.usefixtures("notes")
def test_folders_of_the_cache_are_documented() -> None:
    """The page names each folder that the commands made in the user's cache."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `headrace` in `$XDG_CACHE_HOME`")]
    made = {path.name for path in Path(os.environ["XDG_CACHE_HOME"], "headrace").iterdir()}
    assert "loops" in made
    assert [name for name in made if f"`{name}`" not in row] == []


def test_what_is_asked_is_noticed(tmp_path: Path) -> None:
    """Names, addresses of both versions of IP, and a socket that others could reach."""
    asks = "import socket, contextlib, time\nserver = socket.create_server(('', 0))\ntime.sleep(0.3)\n"
    asks += "with contextlib.suppress(OSError): socket.getaddrinfo('telemetry.invalid', 443)\n"
    for family, address in (("AF_INET", "198.51.100.7"), ("AF_INET6", "2001:db8::7")):
        asks += f"with contextlib.suppress(OSError): socket.socket(socket.{family}).connect(({address!r}, 443))\n"
    seen = machines.run(tmp_path, [sys.executable, "-c", asks], dict(os.environ), 60)
    assert seen.ended.returncode == 0, seen.ended.stderr
    assert set(seen.asked) == {"telemetry.invalid"}
    assert seen.unroutable >= 2
    assert "0.0.0.0" in seen.listened  # noqa: S104  it is what must be noticed


@pytest.mark.parametrize("kind", ["name", "text", "zip", "gzip", "parquet", "metadata", "png", "link"])
def test_what_is_written_is_found(tmp_path: Path, kind: str) -> None:
    """In the forms in which files may hold it."""
    word, path = USER, tmp_path / "file"
    if kind == "name":
        path.with_name(f"file.{word}").touch()
    elif kind == "text":
        path.write_text(f"by {word}")
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("note", f"by {word}")
    elif kind == "gzip":
        path.write_bytes(gzip.compress(f"by {word}".encode()))
    elif kind == "parquet":
        pq.write_table(pa.table({"by": [f"{word}{number}" for number in range(99)]}), path, compression="zstd")
    elif kind == "metadata":
        pq.write_table(pa.table({"n": [1]}).replace_schema_metadata({"by": word}), path)
    elif kind == "png":
        (texts := PngInfo()).add_text("by", word, zip=True)
        Image.new("RGB", (2, 2)).save(path, "PNG", pnginfo=texts)
    else:
        path.symlink_to(f"../{word}")
    assert len(found(tmp_path, {"user": word, "host": HOST})) == 1
