"""What else takes URLs: index of tars in a bucket, export's check, images to predict on, and classes of another set."""

from pathlib import Path

import pytest

from headrace.shards.manifest import load
from tests.e2e.commands import SMALL, headrace, here, refused
from tests.extras.cloud.asked import BUCKET, SECRET
from tests.extras.cloud.faulty import Faulty
from tests.extras.cloud.s3 import S3
from tests.extras.cloud.test_writing import contents, of_folder
from tests.prep.test_adopt import JPEGS, write


@pytest.fixture(autouse=True)
def environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell would set it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two training tars and one of validation, one sample of which is no image."""
    folder = tmp_path / "tars"
    folder.mkdir()
    for number, name in enumerate(("my-train-00.tar", "my-train-01.tar", "my-val-00.tar")):
        one = range(5 * number, 5 * number + 5)
        write(folder / name, [{"__key__": f"a/{k}", "jpg": JPEGS[k] if k != 3 else b"no", "cls": k % 5} for k in one])
    return folder


def test_tars_in_a_bucket_become_the_set_of_the_folder(tars: Path, s3: S3, stage: Path) -> None:
    """Names and bytes are those of the local set, each tar is read once, and what is there is never written again."""
    url = s3.upload(tars, "adopted")
    local = here("index", tars)
    s3.count.clear()
    remote = here("index", url)
    assert (local.code, remote.code) == (0, 0), remote.stderr
    assert s3.count.tars == {path.name: 1 for path in tars.glob("*.tar")}
    assert remote.stdout == local.stdout.replace(str(tars), url)
    assert "1 samples could not be used" in remote.stdout + remote.stderr
    assert contents(s3, "adopted") == {name: one for name, one in of_folder(tars).items() if name != "source.stat"}
    assert [path.name for path in (stage / "index").iterdir()] == [".lock"]
    s3.count.clear()
    again = here("index", url)
    assert (again.code, {one.method for one in s3.count.requests}) == (0, {"GET"})
    assert "a shard set already" in again.stdout + again.stderr
    assert headrace("verify", "--deep", url).code == 0


def test_index_continues_and_replaces_nothing(tars: Path, s3: S3) -> None:
    """Files of an index that was cut are left; others of their names, another set, and web servers are refused."""
    url, client = s3.upload(tars, "cut"), s3.client()
    assert here("index", url).code == 0
    whole = contents(s3, "cut")
    for name in ("shardset.json", "val.parquet"):
        client.delete_object(Bucket=BUCKET, Key=f"cut/{name}")
    s3.count.clear()
    assert here("index", url).code == 0
    assert contents(s3, "cut") == whole
    uploads = [one.path.rpartition("/")[2] for one in s3.count.requests if one.method == "PUT"]
    assert uploads == ["val.parquet", "shardset.json"]
    client.put_object(Bucket=BUCKET, Key="cut/new-train.tar", Body=(tars / "my-val-00.tar").read_bytes())
    refused(here("index", url), 2, "new-train.tar", "Copy only the tars to another URL")
    client.delete_object(Bucket=BUCKET, Key="cut/shardset.json")
    client.put_object(Bucket=BUCKET, Key="cut/my-val-00.idx", Body=b"another's")
    refused(here("index", url), 2, "my-val-00.idx", "no file at a URL is replaced")
    assert "shardset.json" not in contents(s3, "cut")
    refused(here("index", "https://server/tars"), 2, "cannot be listed")
    refused(here("index", f"s3://{BUCKET}/nowhere"), 2, "no .tar files")
    client.put_object(Bucket=BUCKET, Key="made/.prep/plan.json", Body=b"{}")
    refused(here("index", f"s3://{BUCKET}/made"), 2, "is making a set at this URL")


def test_export_compares_on_a_set_at_a_url(many: Path, s3: S3, tmp_path: Path) -> None:
    """It says of it what it says of the folder; so it does of the set that the run itself was trained on."""
    url = s3.upload(many, "checked")
    assert headrace("train", url, *SMALL, "--out", tmp_path / "run").code == 0
    words = ("export", tmp_path / "run")
    local = headrace(*words, tmp_path / "local", "--format=torch", "--check", many)
    named = headrace(*words, tmp_path / "named", "--format=torch", "--check", url)
    own = headrace(*words, tmp_path / "own", "--format=torch")
    assert (local.code, named.code, own.code) == (0, 0, 0), named.stderr + own.stderr
    said = [one.stdout.partition("\n")[2] for one in (local, named, own)]
    assert "120 images decoded by Pillow" in said[0]
    assert said[1:] == [said[0]] * 2


def test_predict_and_classes_from_urls(many: Path, s3: S3, faulty: Faulty, tmp_path: Path) -> None:
    """Images at URLs, in a bucket's folder, and in a listing; what is not there is a row. Nothing is secret."""
    client = s3.client()
    assert headrace("train", many, *SMALL, "--out", tmp_path / "run").code == 0
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(JPEGS[number])
        client.put_object(Bucket=BUCKET, Key=f"images/{number}.jpg", Body=JPEGS[number])
    faulty.folder = tmp_path / "in"
    folder, web = f"s3://{BUCKET}/images", faulty.url.rpartition("/")[0]
    (tmp_path / "list.txt").write_text(f"{folder}/0.jpg\n{web}/1.jpg?key={SECRET}\nin/2.jpg\n")
    local = headrace("predict", tmp_path / "run", tmp_path / "in")
    rows = [line.partition(",")[2] for line in local.stdout.splitlines()]
    for images in (
        [folder],
        [f"{folder}/0.jpg", f"{web}/1.jpg?key={SECRET}", f"{folder}/2.jpg"],
        [tmp_path / "list.txt"],
    ):
        there = headrace("predict", tmp_path / "run", *images)
        assert (there.code, SECRET in there.stdout + there.stderr) == (0, False), there.stderr
        assert [line.partition(",")[2] for line in there.stdout.splitlines()] == rows
    gone = headrace("predict", tmp_path / "run", f"{web}/4.jpg?key={SECRET}", f"{folder}/1.jpg")
    assert (gone.code, SECRET in gone.stdout + gone.stderr) == (3, False)
    assert f"{web}/4.jpg: no such file" in gone.stdout
    refused(headrace("predict", tmp_path / "run", f"{web}/list.csv"), 2, "Copy it to this host")
    url, source = s3.upload(many, "classes"), tmp_path / "source"
    for label in load(many).classes[:2]:
        (source / "train" / label.id).mkdir(parents=True)
        (source / "train" / label.id / "1.jpg").write_bytes(JPEGS[0])
    (tmp_path / "in" / "classes.txt").write_text("".join(f"{one.id}\n" for one in load(many).classes))
    client.upload_file(str(tmp_path / "in" / "classes.txt"), BUCKET, "classes.txt")
    for number, place in enumerate((url, f"s3://{BUCKET}/classes.txt")):
        made = here(
            "prep", source, tmp_path / str(number), "--val-fraction=0", "--on-empty-class=keep", "--classes-from", place
        )
        assert made.code == 0, made.stderr
        assert [one.id for one in load(tmp_path / str(number)).classes] == [one.id for one in load(many).classes]
    refused(
        here("prep", source, tmp_path / "n", "--val-fraction=0", "--classes-from", f"{web}/a.txt?key={SECRET}"),
        2,
        "must not have a query",
    )
    refused(
        here("prep", source, tmp_path / "n", "--val-fraction=0", "--classes-from", f"s3://{BUCKET}/no.txt"),
        2,
        "no such shard set or file",
    )
