"""`shardset.json`, the manifest: lists the contents of a shard set. A folder without a manifest is not a shard set."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from headrace.shards import regular, remedy
from headrace.shards.counts import counted
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.names import MANIFEST, STAMP
from headrace.shards.parts import PART
from headrace.shards.paths import refuse_impossible
from headrace.shards.urls import Location

FORMAT = 2
"""The version of the manifest format that Headrace writes; older ones are also read. docs/formats.md lists them."""
_DIGESTED = 1  # never change it: sets of equal content would get other digests (docs/decisions/0023)
NAME = MANIFEST
ADOPTED = "webdataset"  # layout of a set made of existing tars
SUBSET = "subset"  # layout of a set with samples copied from another set
TRAIN, VALIDATION = "train", "val"
"""Names of the splits that training uses."""
LIMIT = 256 << 20
"""The largest size of a manifest in bytes; a manifest has about 150 bytes per shard."""

# File names have no folders and start with a letter or digit, so that none leads out of the set's folder.
_FILE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*"
TAR_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,190}\.tar$"
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=_FILE + "$", max_length=200)]
TarName = Annotated[str, Field(pattern=TAR_NAME, max_length=200)]
SplitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=32)]
MAX_ID, MAX_TEXT = 255, 4096  # characters
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Content = bytes  # an alias, because fields below are called `bytes`
Scalar = bool | int | float | Text | None
OptionValues = Annotated[dict[Annotated[str, Field(max_length=64)], Scalar], Field(max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClassInfo(_Part):
    """One class. Its label is its position in the manifest's list of classes; this position never changes."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID)]
    name: Text


def class_list(names: Iterable[tuple[str, str]], where: Location) -> tuple[ClassInfo, ...]:
    """The class list of these (id, name) pairs, in this order. `where` is the location of the names, for errors."""
    found = []
    for one, name in names:
        try:
            found.append(ClassInfo(id=one, name=name))
        except ValidationError as error:
            why = error.errors(include_url=False)[0]["msg"]
            raise DataError(f"{where}: class {one[:60]!r} cannot be used: {why}. Rename it") from error
    return tuple(found)


class ShardInfo(_Part):
    """One tar."""

    name: TarName
    samples: Count
    bytes: Count
    sha256: Sha256


class FileInfo(_Part):
    """An index file, which is derived from the tars.

    A large file has a SHA-256 for each MiB, so that it can be read in parts.
    """

    name: FileName
    bytes: Count
    sha256: Sha256
    parts: Annotated[tuple[Sha256, ...], Field(max_length=1 << 20)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Check that the number of parts matches the size of the file."""
        if self.parts is not None and len(self.parts) != -(-self.bytes // PART):
            raise ValueError(f"{len(self.parts):,} hashes, one per {PART:,} bytes, do not fit {self.bytes:,} bytes")
        return self

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return fields if self.parts is not None else {name: fields[name] for name in ("name", "bytes", "sha256")}

    @classmethod
    def of(cls, name: str, content: "Content") -> "FileInfo":
        """The entry for a file with this content."""
        return cls(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class SplitInfo(_Part):
    """The tars of one split in order, and its Parquet index."""

    name: SplitName
    samples: Count
    index: FileInfo
    shards: Annotated[tuple[ShardInfo, ...], Field(max_length=1_000_000)]


class SourceInfo(_Part):
    """The origin of the samples. `fingerprint` is a hash of the sorted (path, size, CRC-32) of all files."""

    layout: Text
    files: Count
    fingerprint: Sha256


class AppendedInfo(_Part):
    """A part that `headrace prep --append` added: its source, its options, and its numbers of classes and tars.

    `classes` is the number of new classes, and `shards` the number of new tars by split. New classes and tars follow
    those of earlier parts.
    """

    source: SourceInfo
    options: OptionValues
    classes: Count
    shards: Annotated[dict[SplitName, Count], Field(max_length=64)]


class MadeOf(NamedTuple):
    """A part of a set: its source, and the options that it was made with."""

    source: SourceInfo
    options: dict[str, Scalar]


class Manifest(_Part):
    """The whole set. `digest` is a hash of the tars and the class list, but not of the indexes."""

    format: Annotated[int, Field(ge=1, le=FORMAT)]
    digest: Sha256
    classes: Annotated[tuple[ClassInfo, ...], Field(min_length=1, max_length=1_000_000)]
    splits: Annotated[tuple[SplitInfo, ...], Field(min_length=1, max_length=64)]
    source: SourceInfo
    options: OptionValues
    appended: Annotated[tuple[AppendedInfo, ...], Field(max_length=100_000)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Check that names are unique, numbers of samples add up, and the digest matches the content."""
        names = [shard.name for split in self.splits for shard in split.shards]
        names += [split.index.name for split in self.splits] + [split.name for split in self.splits]
        if len(set(names)) < len(names):
            raise ValueError("a split or file name occurs twice")
        if len({one.id for one in self.classes}) < len(self.classes):
            raise ValueError("a class id occurs twice")
        for split in self.splits:
            if sum(shard.samples for shard in split.shards) != split.samples:
                raise ValueError(f"split {split.name}: the samples of its shards do not add up to {split.samples}")
        if self.digest != digest_of(self.classes, self.splits):
            raise ValueError("the digest does not match the content: the file was edited or damaged")
        self._refuse_odd_parts()
        return self

    def _refuse_odd_parts(self) -> None:
        """Check that the appended parts have no more classes and tars than the set."""
        if sum(one.classes for one in self.appended) > len(self.classes):
            raise ValueError("the appended parts have more classes than the set")
        tars = {split.name: len(split.shards) for split in self.splits}
        for name in {name for one in self.appended for name in one.shards}:
            if sum(one.shards.get(name, 0) for one in self.appended) > tars.get(name, 0):
                raise ValueError(f"the appended parts have more tars in split {name} than the set")

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return fields if self.appended else {name: value for name, value in fields.items() if name != "appended"}

    @classmethod
    def make(
        cls,
        classes: tuple[ClassInfo, ...],
        splits: tuple[SplitInfo, ...],
        source: SourceInfo,
        options: dict[str, Scalar],
        appended: tuple[AppendedInfo, ...] = (),
    ) -> "Manifest":
        """Make a manifest and compute its digest. `source` and `options` are those of the first part."""
        digest = digest_of(classes, splits)
        return cls(
            format=FORMAT,
            digest=digest,
            classes=classes,
            splits=splits,
            source=source,
            options=options,
            appended=appended,
        )

    def render(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n").encode()

    @property
    def parts(self) -> tuple[MadeOf, ...]:
        """The parts of the set in order: the first part, then the appended parts."""
        return MadeOf(self.source, self.options), *(MadeOf(one.source, one.options) for one in self.appended)

    @property
    def made(self) -> tuple[dict[str, Scalar], ...] | None:
        """The options of `headrace prep` or `headrace subset` for each part; None for a set made from existing tars."""
        return None if self.source.layout == ADOPTED else tuple(part.options for part in self.parts)

    def first_tars(self, split: str) -> int:
        """The number of tars of a split that belong to the first part."""
        (info,) = (one for one in self.splits if one.name == split)
        return len(info.shards) - sum(one.shards.get(split, 0) for one in self.appended)

    @property
    def samples(self) -> int:
        """The number of samples in all splits."""
        return sum(split.samples for split in self.splits)


def digest_of(classes: tuple[ClassInfo, ...], splits: tuple[SplitInfo, ...]) -> str:
    """The SHA-256 of the class list and the entries of the tars, the same for all versions of the format."""
    content = [_DIGESTED, [[one.id, one.name] for one in classes]]
    content += [[split.name, [[s.name, s.samples, s.bytes, s.sha256] for s in split.shards]] for split in splits]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def load(root: Path) -> Manifest:
    """Read the manifest of the set in folder `root`. Raises UsageError if there is none, and the errors of `parse`."""
    refuse_impossible(root)
    path = root / NAME
    try:
        if path.stat().st_size > LIMIT:
            raise DataError(
                f"{path}: {path.stat().st_size:,} bytes, but the limit is {LIMIT:,}. {remedy.of_manifest(root)}"
            )
        return parse(root, regular.read(path))
    except FileNotFoundError as error:
        raise UsageError(_missing(root)) from error
    except NotADirectoryError as error:
        raise UsageError(f"{root}: not a folder. Give the folder of a shard set, made by `headrace prep`") from error
    except PermissionError as error:
        raise UsageError(
            f"{path}: no permission to read it ({error.strerror}). Ask its owner for permission"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {remedy.of_manifest(root)}") from error


def parse(root: Location, content: bytes) -> Manifest:
    """Parse the manifest of the set at `root`. Raises DataError for damage, NewerError if a newer Headrace wrote it."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise _refusal(root, error) from error


def _refusal(root: Location, error: ValidationError) -> DataError:
    """The error about an invalid manifest."""
    problems = error.errors(include_url=False)
    kinds = {(problem["loc"], problem["type"]) for problem in problems}
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "as a whole"
    if (("format",), "less_than_equal") in kinds:
        return NewerError.of(root / NAME, f"it has a format above {FORMAT}, the last one that this version reads")
    if {kind for _, kind in kinds} == {"extra_forbidden"}:  # if a field is missing too, a name is damaged
        return NewerError.of(root / NAME, f"it has a field that this version does not know, {where[:MAX_ID]}")
    return DataError(
        f"{root / NAME}: not a valid manifest: {where}: {first['msg']} ({counted(len(problems), 'problem')}). "
        f"{remedy.of_manifest(root)}"
    )


def _missing(root: Path) -> str:
    if not root.exists():
        return f"{root}: no such folder. Make a shard set there with `headrace prep SOURCE {root}`"
    if (root / STAMP).exists() or any(root.glob("*.tar")):
        return f"{root}: no {NAME} in it, so it is not a finished shard set. {remedy.of_manifest(root)}"
    return (
        f"{root}: no {NAME} in it, so it is not a finished shard set. "
        f"Make one with `headrace prep SOURCE OUT`, or give the folder that holds {NAME}"
    )
