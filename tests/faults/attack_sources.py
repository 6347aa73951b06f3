"""Mutated sources for `headrace prep`: archives, listings, text files and images."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.faults import oracles
from tests.faults.attack_fields import bits_of_a_header, field_of_a_header, field_of_a_zip, inside, with_wide_end
from tests.faults.mutations import Mutation, cut, flip, insert, letter, limits, number, value, zero
from tests.faults.oracles import Expected
from tests.faults.targets import ROOM, Case, Target, built
from tests.prep.contents import Contents, as_folder, small
from tests.prep.damage import tarred, tree, zipped
from tests.prep.test_fuzz import pictures

BINARY: tuple[Mutation, ...] = (cut, flip, zero, insert, limits)
TEXT: tuple[Mutation, ...] = (cut, flip, zero, insert, letter, number, value)
TAR: tuple[Mutation, ...] = (*BINARY, bits_of_a_header, field_of_a_header)
AS_BYTES = {name.encode(): data for name, data in tree().items()}
FOLDERS = (oracles.of_folder, oracles.of_tinyimagenet)
Oracle = Callable[[Path], Expected | None]


def source(name: str, files: Contents, spoilt: list[str], kinds: tuple[Mutation, ...], oracle: Oracle) -> Target:
    """The target of a source among these files; a case damages one of those that may be `spoilt`.

    The source is the folder of all files if that is what the oracle reads, and the damaged file if not.
    """

    def build(folder: Path) -> None:
        as_folder(files, folder / ROOM / "in")
        for one in [""] if oracle in FOLDERS else spoilt:
            built(folder, "prep", folder / ROOM / "in" / one, folder / f"of {one}", "--workers", "1")

    def attack(case: Case) -> None:
        file = spoilt[case.seed // len(kinds) % len(spoilt)]
        one = "" if oracle in FOLDERS else file
        case.names = [*files, *tree()] if oracle not in FOLDERS else []
        case.spoil(f"in/{file}", kinds)
        skip = ["--on-bad", "skip"] if case.draw.random() < 0.5 else []
        answer = case.ask("prep", case.room / "in" / one, case.out, "--workers", "1", *skip)
        if answer.code == 0:
            case.ask("verify", "--deep", case.out, codes=(0,))
            now, before = oracle(case.room / "in" / one), oracle(case.whole / ROOM / "in" / one)
            _check_nothing_lost(case, now)
            sets = [(oracles.digest_of(root), oracles.of_report(root)) for root in (case.out, case.whole / f"of {one}")]
            equal = sets[0][0] == sets[1][0] or sets[0][1] != sets[1][1]  # what the report says of an image may differ
            case.check(now != before or equal, "another digest than that of the same unspoilt source")

    return Target(name, build, attack)


def _check_nothing_lost(case: Case, expected: Expected | None) -> None:
    """Every image is a sample of its class with its bytes, or is named in the report."""
    samples, report = oracles.of_set(case.out), oracles.of_report(case.out)
    for path, data in expected.files.items() if expected else ():
        ends = ["/".join(path.split("/")[at:]) for at in range(path.count("/") + 1)]
        name = next((end for end in ends if end in samples or end in report), None)
        case.check(name is not None, f"{path} is lost without a word")
        if expected and name in samples:
            same = data == samples[name].image or "converted" in report.get(name, ())
            case.check(same, f"{path} has other bytes than in the source")
            label = samples[name].label
            case.check(label in expected.labels[path], f"{path} is of class {label}")


def zips() -> Contents:
    """The tree in zips of several kinds, each of which has some of what zips may have."""
    streamed, wide = io.BytesIO(), io.BytesIO()
    streamed.seekable = lambda: False  # type: ignore[method-assign] # so that sizes stand behind the content
    for out in (streamed, wide):
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in tree().items():
                info = zipfile.ZipInfo(name, (2020, 2, 2, 2, 2, 2))
                info.extra, info.comment = b"\x99\x99\4\0more", b"a comment"
                with archive.open(info, "w", force_zip64=out is wide) as stream:
                    stream.write(data)
    return {
        "a.zip": zipped(AS_BYTES),
        "deflated.zip": zipped(AS_BYTES, zipfile.ZIP_DEFLATED),
        "streamed.zip": streamed.getvalue(),
        "wide.zip": wide.getvalue(),
        "wide-end.zip": with_wide_end(zipped(AS_BYTES)),
        "behind.zip": b"#!/bin/sh\n" * 9 + zipped(AS_BYTES),
    }


def tars() -> Contents:
    """The tree in tars of the three dialects, of which two with headers before each member."""
    deep = {b"./" + name: data for name, data in AS_BYTES.items()}
    return {
        "gnu.tar": tarred(AS_BYTES),
        "ustar.tar": tarred(deep, form=tarfile.USTAR_FORMAT),
        "pax.tar": _with_headers(tarfile.PAX_FORMAT, mtime=1.5, uname="k\u00f6ln"),
        "long.tar": _with_headers(tarfile.GNU_FORMAT, linkname="l" * 120),
    }


def _with_headers(form: int, **fields: object) -> bytes:
    """A tar of which each member has fields that need a header of their own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in tree().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, given in fields.items():
                setattr(info, field, given)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def csv_listing() -> bytes:
    """A listing of the tree as text."""
    rows = ([name, name.split("/")[1], name.split("/")[0]] for name in tree())
    return "".join(",".join(row) + "\r\n" for row in (["path", "label", "split"], *rows)).encode()


def parquet_listing(**how: object) -> bytes:
    """The same as Parquet."""
    out, paths = io.BytesIO(), list(tree())
    labels, splits = ([name.split("/")[at] for name in paths] for at in (1, 0))
    pq.write_table(pa.table({"path": paths, "label": labels, "split": splits}), out, **how)
    return out.getvalue()


PICTURES = {f"train/ant/of.{name}": data for name, data in pictures().items() if name != "jp2"}
JPEGS = [name for name in PICTURES if name.endswith("jpg")]
PARQUETS = {
    "plain.parquet": parquet_listing(compression="none", use_dictionary=False),
    "packed.parquet": parquet_listing(compression="zstd", write_page_checksum=True),
    "rows.parquet": parquet_listing(row_group_size=5, data_page_version="2.0"),
}
_gzip = partial(gzip.compress, mtime=0)
GZ = (*BINARY, *(inside(kind, gzip.decompress, _gzip) for kind in TAR))
XZ = (*BINARY, *(inside(kind, lzma.decompress, lzma.compress) for kind in TAR))
OLD = (*BINARY, *(inside(kind, bz2.decompress, bz2.compress) for kind in TAR))

SOURCES = (
    source("zip", zips(), list(zips()), (*BINARY, field_of_a_zip), oracles.of_zip),
    source("fields of a zip", zips(), list(zips()), (field_of_a_zip,), oracles.of_zip),
    source("tar", tars(), list(tars()), TAR, oracles.of_tar),
    source("headers of a tar", tars(), list(tars()), (bits_of_a_header, field_of_a_header), oracles.of_tar),
    source("tar.gz", {"a.tar.gz": _gzip(tars()["pax.tar"])}, ["a.tar.gz"], GZ, oracles.of_tar),
    source("tar.xz", {"a.tar.xz": lzma.compress(tars()["gnu.tar"])}, ["a.tar.xz"], XZ, oracles.of_tar),
    source("tar.bz2", {"a.tar.bz2": bz2.compress(tars()["ustar.tar"])}, ["a.tar.bz2"], OLD, oracles.of_tar),
    source("csv listing", tree() | {"list.csv": csv_listing()}, ["list.csv"], TEXT, oracles.of_csv),
    source("parquet listing", tree() | PARQUETS, list(PARQUETS), BINARY, oracles.of_parquet),
    source("names of classes", small(3, 1), ["words.txt", "wnids.txt"], TEXT, oracles.of_tinyimagenet),
    source("annotations", small(2, 3), ["val/val_annotations.txt"], TEXT, oracles.of_tinyimagenet),
    source("jpeg", tree() | PICTURES, JPEGS, BINARY, oracles.of_folder),
    source("image", tree() | PICTURES, [name for name in PICTURES if name not in JPEGS], BINARY, oracles.of_folder),
)
