"""Links in a source: a hard link in a tar is the file that it names, and every other link is left out by name."""

import io
import json
import os
import resource
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources.files import HIDDEN, Unused
from headrace.prep.sources.folder import FolderFiles
from headrace.prep.sources.survey import survey
from headrace.prep.sources.tar import TarFiles
from headrace.prep.summary import summary
from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet
from tests.disks import bound_by_permissions
from tests.prep.contents import as_folder
from tests.prep.damage import tree

FILES = {path: data for path, data in tree().items() if not path.startswith("test/")}
SOME = min(path for path in FILES if path.startswith("train/"))
FORMS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def tar_of(path: Path, links: list[tuple[str, bytes, str]], form: int = tarfile.GNU_FORMAT) -> Path:
    """The small tree as a tar, with links (name, type, target) after its files."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return path


def beside(name: str) -> str:
    """The path of a file in the folder of SOME."""
    return SOME.rsplit("/", 1)[0] + "/" + name


def made(source: Path, on_bad: str = "error") -> tuple[set[str], list[tuple[str, str]], str]:
    """The sources of the samples in the set, its report as (path, reason), and its summary."""
    out = source.parent / "out"
    result = prep(source, out, Options(on_bad=on_bad), workers=1, if_exists="error", say=lambda _: None)
    shards = ShardSet.open(out)
    found = {path for name in shards.split_names for path in shards.split(name).sources}
    report = out / "report.jsonl"
    lines = map(json.loads, report.read_text().splitlines()) if report.exists() else []
    return (
        found,
        [(line["source"], line["reason"]) for line in lines if line["action"] == "skipped"],
        summary(result, out),
    )


@pytest.mark.parametrize(
    ("form", "name"),
    [*((form, "link.jpg") for form in FORMS), ("gnu", "l" * 90 + ".jpg"), ("pax", "l" * 90 + ".jpg")],
)
def test_hard_link_is_the_member_that_it_names(form: str, name: str, tmp_path: Path) -> None:
    """Long names of links work too, and a link to a link gives the member that the first names."""
    links = [(beside(name), tarfile.LNKTYPE, SOME), (beside("2" + name), tarfile.LNKTYPE, beside(name))]
    path = tar_of(tmp_path / "a.tar", links, FORMS[form])
    files = TarFiles(path, tmp_path)
    entries = {entry.path: entry for entry in files.table()}
    read = files.reader("").read
    assert read(entries[beside(name)]) == read(entries[beside("2" + name)]) == FILES[SOME]
    assert files.left_out == []
    assert made(path)[0] == {*FILES, beside(name), beside("2" + name)}


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        (tarfile.SYMTYPE, SOME, "a symbolic link, which is not followed"),
        (tarfile.SYMTYPE, "/etc/passwd", "a symbolic link, which is not followed"),
        (tarfile.LNKTYPE, beside("link.jpg"), "which is not an earlier member"),
        (tarfile.LNKTYPE, "/etc/passwd", "a hard link to '/etc/passwd', which is not an earlier member"),
        (tarfile.LNKTYPE, "../" + SOME, "which is not an earlier member"),
        (tarfile.LNKTYPE, "a\nb\udce4", "which is not an earlier member"),
    ],
)
def test_other_links_of_a_tar_are_refused_or_reported(kind: bytes, target: str, words: str, tmp_path: Path) -> None:
    """An image that is another link ends prep by name; with --on-bad skip it is left out and reported."""
    path = tar_of(tmp_path / "a.tar", [(beside("link.jpg"), kind, target)])
    with pytest.raises(DataError, match=words) as caught:
        made(path)
    assert beside("link.jpg") in str(caught.value)
    assert "--on-bad skip" in str(caught.value)
    found, report, said = made(path, "skip")
    assert found == set(FILES)
    assert [name for name, _ in report] == [beside("link.jpg")]
    assert words in report[0][1]
    assert f"1 file not used: {report[0][1]}" in said


def test_last_member_of_a_name_counts_among_links_too(tmp_path: Path) -> None:
    """As in tar(1), a link replaces an earlier file of its name, and a file an earlier link."""
    links = [(SOME, tarfile.SYMTYPE, "elsewhere"), (beside("link.jpg"), tarfile.SYMTYPE, "elsewhere")]
    path = tar_of(tmp_path / "a.tar", [*links, (beside("link.jpg"), tarfile.LNKTYPE, max(FILES))])
    found, report, _ = made(path, "skip")
    assert found == {*FILES, beside("link.jpg")} - {SOME}
    assert [name for name, _ in report] == [SOME]


def test_symbolic_links_of_a_zip(tmp_path: Path) -> None:
    """Symbolic links are left out by name, as in a tar."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
        info = zipfile.ZipInfo(beside("link.jpg"))
        info.external_attr = 0o120777 << 16
        archive.writestr(info, SOME)
    with pytest.raises(DataError, match="symbolic link"):
        made(tmp_path / "a.zip")
    found, report, _ = made(tmp_path / "a.zip", "skip")
    assert (found, [name for name, _ in report]) == (set(FILES), [beside("link.jpg")])


def test_symbolic_links_of_a_folder(tmp_path: Path) -> None:
    """A link to a folder is only reported; a link named like an image would be a missing image, so it is refused."""
    root = as_folder(FILES, tmp_path / "in")
    (root / "train/more").symlink_to(tmp_path)
    found, report, said = made(root)
    assert (found, [name for name, _ in report]) == (set(FILES), ["train/more"])
    assert "1 file not used: a symbolic link, which is not followed" in said
    (tmp_path / "out").rename(tmp_path / "first")
    (root / beside("link.jpg")).symlink_to(root / SOME)
    (root / beside("._hidden.jpg")).symlink_to(root / SOME)
    with pytest.raises(DataError, match=r"link\.jpg: a symbolic link.*\(1 such image\)\. Give --follow-links"):
        made(root)


def test_hard_links_of_a_folder_are_files(tmp_path: Path) -> None:
    """Both names of a hard-linked file on a disk are files."""
    root = as_folder(FILES, tmp_path / "in")
    os.link(root / SOME, root / beside("link.jpg"))
    assert made(root)[0] == {*FILES, beside("link.jpg")}


@pytest.mark.parametrize("name", [b"l\xff.jpg", b"l\nk.txt"])
def test_link_with_an_unprintable_name(name: bytes, tmp_path: Path) -> None:
    """The link is refused in one printable line, as a file of such a name is."""
    root = as_folder(FILES, tmp_path / "in")
    (root / os.fsdecode(name)).symlink_to("elsewhere")
    with pytest.raises(DataError, match="unprintable characters") as caught:
        made(root, "skip")
    assert str(caught.value).isprintable()


def test_links_that_are_followed(tmp_path: Path) -> None:
    """--follow-links follows links to files and folders, and reports broken links and circles."""
    root, other = as_folder(FILES, tmp_path / "in"), as_folder(tree(), tmp_path / "other")
    (root / beside("link.jpg")).symlink_to(other / SOME)
    (root / "train/linked").symlink_to(other / "train/ant")
    (root / "train/linked by hand").symlink_to("linked")
    (root / "train/ant/up").symlink_to("../..")
    (root / "train/ant/nowhere").symlink_to("nothing")
    (root / "train/ant/round").symlink_to("round")
    options = Options(follow_links=True)
    result = prep(root, tmp_path / "out", options, workers=2, if_exists="error", say=lambda _: None)
    assert {"linked", "linked by hand"} <= {one.id for one in result.manifest.classes}
    sources = ShardSet.open(tmp_path / "out").split("train").sources
    assert beside("link.jpg") in sources
    names = {path.name for path in (other / "train/ant").iterdir()}
    assert {path for path in sources if "linked/" in path} == {f"train/linked/{name}" for name in names}
    assert result.tally.unused == {
        "a symbolic link that leads nowhere": 2,
        "a symbolic link to a folder that contains it": 1,
    }
    assert prep(root, tmp_path / "out", options, workers=1, if_exists="reuse", say=lambda _: None).reused


def test_link_above_the_source_gives_nothing_twice(tmp_path: Path) -> None:
    """A link to the source or a folder above it adds nothing, under whatever name the source is given."""
    root = as_folder(FILES, tmp_path / "a/b/in")
    (root / "train/ant/up").symlink_to(tmp_path / "a")
    (root / "train/ant/itself").symlink_to(root)
    (tmp_path / "name").symlink_to(root)
    for source in (root, tmp_path / "name"):
        files = FolderFiles(source, follow=True)
        assert files.table().paths == sorted(FILES)
        assert files.left_out == [
            (f"train/ant/{name}", "a symbolic link to a folder that contains it") for name in ("itself", "up")
        ]


def test_link_that_may_not_be_followed_is_not_left_out(tmp_path: Path) -> None:
    """A linked class that cannot be read ends prep by name, since its link is not known to be broken."""
    root, locked = as_folder(FILES, tmp_path / "in"), tmp_path / "locked"
    as_folder(tree(), locked)
    (root / "train/linked").symlink_to(locked / "train/ant")
    locked.chmod(0)
    words = (sys.executable, "-m", "headrace", "prep", root, tmp_path / "out", "--follow-links")
    done = bound_by_permissions(*words)
    locked.chmod(0o755)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert f"{root}/train/linked: cannot be read (Permission denied). Ask its owner for permission" in done.stderr


@pytest.mark.parametrize("follow", [False, True])
def test_deep_tree_takes_one_descriptor(follow: bool, tmp_path: Path) -> None:
    """A tree of 1,200 levels, hidden folders included, needs at most 16 more descriptors than were open."""
    folders = [tmp_path / "in" / ("d/" * depth) for depth in range(1200)]
    for folder in (*folders, folders[-1] / ".h"):
        folder.mkdir()
    files = [folders[-1] / ".h/1.jpg", folders[1] / "2.jpg"]
    for file in files:
        file.write_bytes(FILES[SOME])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, hard))
    try:
        seen = survey(FolderFiles(folders[0], follow=follow))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for file in files:
            file.unlink()
        for folder in (folders[-1] / ".h", *reversed(folders)):  # which shutil.rmtree cannot
            folder.rmdir()
    assert seen.table.paths == ["d/2.jpg"]
    assert seen.hidden == [Unused("d/" * 1199 + ".h/", HIDDEN, 1)]


def test_links_alone_are_named_with_what_reads_them(tmp_path: Path) -> None:
    """The error for a source or class of links only, as tools for subsets make, names --follow-links."""
    other = as_folder(tree(), tmp_path / "other")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/train").symlink_to(other / "train")
    with pytest.raises(DataError, match=r"found in 0 files and 1 symbolic link, not followed\. Give --follow-links"):
        made(tmp_path / "in", "skip")
    as_folder(FILES, tmp_path / "class/in")
    (tmp_path / "class/in/train/linked").mkdir()
    (tmp_path / "class/in/train/linked/1.jpg").symlink_to(other / SOME)
    with pytest.raises(DataError, match=r"linked \(1 a symbolic link.*\)\. Give --follow-links"):
        made(tmp_path / "class/in", "skip")
