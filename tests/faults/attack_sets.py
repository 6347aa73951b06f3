"""Mutated files of shard sets, made by prep or adopted, for `verify`, `inspect` and `train`; and tars for `index`."""

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

from headrace.shards.names import MANIFEST
from tests.faults import oracles
from tests.faults.attack_sources import BINARY, TAR, TEXT
from tests.faults.mutations import Mutation
from tests.faults.runs import arguments, losses
from tests.faults.targets import ROOM, Case, Target, built
from tests.prep.contents import Contents, as_folder, small

SMALL = {"train__global_batch": 6, "train__group": 3, "evaluate__batch": 6, "augment__size": 32}
COMMANDS = {"verify": 4, "deep": 3, "inspect": 2, "train": 1}  # how often each is tried on a set
Result = tuple[list[float], list[list[str]]]


def given(shards: Path, out: Path, *more: str, **values: object) -> list[str]:
    """`headrace train` for one epoch of three small steps."""
    return arguments(shards, out, *more, **SMALL, **values)


def result(run: Path) -> Result:
    """What a finished run came to: the loss of each step, and the figures of each epoch that are no times."""
    return losses(run), [line.split(",")[:6] for line in (run / "epochs.csv").read_text().splitlines()]


def make_set(folder: Path) -> None:
    """A set of 18 training images in two shards and 6 validation images, made by prep, in the room."""
    as_folder(small(), folder / "in")
    built(folder, "prep", folder / "in", folder / ROOM / "set", "--samples-per-shard", "9", "--workers", "1")


def webdataset(first: int, last: int) -> bytes:
    """A tar as others make it: samples of the small source with a word for a label and one more member."""
    images = [(path, data) for path, data in small().items() if path.startswith("train/") and "images" in path]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, (path, data) in list(enumerate(images))[first:last]:
            label = path.split("/")[1].encode()
            for ending, content in (("jpg", data), ("cls", label), ("json", b"{}")):
                info = tarfile.TarInfo(f"part/{number:04d}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


TARS: Contents = {"train-0.tar": webdataset(0, 8), "train-1.tar": webdataset(8, 14), "val-0.tar": webdataset(14, 18)}


def adopt_set(folder: Path) -> None:
    """A set of the same images that was adopted, in the room."""
    as_folder(TARS, folder / ROOM / "set")
    built(folder, "index", folder / ROOM / "set")


def same_manifest(one: bytes, other: bytes) -> bool:
    """Whether two manifests speak of the same content: what the digest is of."""
    try:
        first, second = json.loads(one), json.loads(other)
    except (ValueError, RecursionError):
        return False
    return all(first.get(key) == second.get(key) for key in ("format", "digest", "classes", "splits"))


def same_words(one: bytes, other: bytes) -> bool:
    """Whether two texts have the same words in each line, and the same numbers."""
    lines = [
        [[re.sub(rb"^0+(?=\d+$)", b"", word) for word in line.split()] for line in text.splitlines()]
        for text in (one, other)
    ]
    return lines[0] == lines[1]


def of_set(
    name: str,
    make: Callable[[Path], None],
    spoilt: list[str],
    kinds: tuple[Mutation, ...],
    same: Callable[[bytes, bytes], bool] = bytes.__eq__,
) -> Target:
    """The target of a file of a set; `same`: whether a damaged one still says the same."""

    def build(folder: Path) -> None:
        make(folder)
        shards = folder / ROOM / "set"
        (folder / "figures").write_text(_figures(built(folder, "inspect", shards).stdout, shards))
        built(folder, *given(shards, folder / "run"))

    def attack(case: Case) -> None:
        file = spoilt[case.seed // len(kinds) % len(spoilt)]
        case.spoil(f"set/{file}", kinds)
        shards, (command,) = case.room / "set", case.draw.choices(list(COMMANDS), list(COMMANDS.values()))
        if file == MANIFEST:  # which may describe another file than the one that is there: that one is named
            case.names = [*case.names, f"{shards}/"]
        if command == "inspect":
            answer = case.ask("inspect", shards)
            sound = (case.whole / "figures").read_text()
            case.check(answer.code != 0 or _figures(answer.stdout, shards) == sound, f"other figures: {answer}")
        elif command == "train":
            answer = case.ask(*given(shards, case.out))
            equal = answer.code != 0 or result(case.out) == result(case.whole / "run")
            case.check(equal, f"another run: {answer}")
        else:
            answer = case.ask("verify", *(["--deep"] if command == "deep" else []), shards)
            before, now = ((root / "set" / file).read_bytes() for root in (case.whole / ROOM, case.room))
            case.check(answer.code != 0 or same(before, now), f"called sound: {answer}")

    return Target(name, build, attack)


def _figures(text: str, shards: Path) -> str:
    return text.replace(str(shards), "SET")


def _build_tars(folder: Path) -> None:
    as_folder(TARS, folder / ROOM / "set")


def _index(case: Case) -> None:
    """Index a folder with a spoilt tar: every sample that tarfile reads is one of the set, or in the report."""
    file = list(TARS)[case.seed // len(TAR) % len(TARS)]
    case.spoil(f"set/{file}", TAR)
    case.names = [*case.names, str(case.room / "set")]
    case.written += [".set.lock", *(f"set/{name}" for name in ("shardset.json", "report.jsonl"))]
    case.written += [f"set/{name}" for name in ("train.parquet", "val.parquet", *(f"{name[:-4]}.idx" for name in TARS))]
    answer = case.ask("index", case.room / "set")
    if answer.code == 0:
        case.ask("verify", "--deep", case.room / "set", codes=(0,))
        _check_samples(case)


def _check_samples(case: Case) -> None:
    root = case.room / "set"
    samples = {_plain(name): one for name, one in oracles.of_set(root).items()}
    named = {_plain(name.replace(": ", "/", 1)) for name in oracles.of_report(root)}
    for tar in TARS:
        files = oracles.members_of(root / tar) or {}
        for path, data in files.items():
            key, _, ending = path.rpartition("/")[2].partition(".")
            name = _plain(f"{tar}/{path.rpartition('/')[0]}/{key}")
            case.check(name in samples or name in named, f"{name} is lost without a word")
            if name in samples and ending == "jpg":
                case.check(samples[name].image == data, f"{name} has other bytes than its tar")
            if name in samples and ending == "cls":
                case.check(samples[name].label.encode() == (data or b"").strip(), f"{name} has another label")


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in {"", "."})


SETS = (
    of_set("manifest", make_set, [MANIFEST], TEXT, same_manifest),
    of_set("idx", make_set, ["train-000000.idx", "val-000000.idx"], TEXT, same_words),
    of_set("idx of an adopted set", adopt_set, ["train-0.idx", "val-0.idx"], TEXT, same_words),
    of_set("index", make_set, ["train.parquet", "val.parquet"], BINARY),
    of_set("tar of a set", make_set, ["train-000000.tar", "train-000001.tar", "val-000000.tar"], TAR),
    of_set("tar of an adopted set", adopt_set, list(TARS), TAR),
    Target("tars to index", _build_tars, _index),
)
