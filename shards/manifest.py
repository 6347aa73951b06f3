"""`shardset.json`: what a shard set consists of. No manifest, no shard set."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

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
from headrace.shards.errors import DataError, NewerError, UsageError
from headrace.shards.names import MANIFEST, STAMP
from headrace.shards.parts import PART
from headrace.shards.paths import refuse_impossible

FORMAT = 2
"""The version that is written; all from 1 on are read. docs/formats.md says what each may hold."""
_DIGESTED = 1  # stands for ever: raised, it would give sets of equal content other digests (docs/decisions/0023)
NAME = MANIFEST
ADOPTED = "webdataset"  # layout of a set whose tars were there before
TRAIN, VALIDATION = "train", "val"
"""Names of the splits that a training uses."""
_LIMIT = 256 << 20  # bytes; a manifest takes about 150 bytes a shard

# File names have no folder parts and start with a letter or digit: nothing leads out of the set's own folder.
_FILE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*"
TAR_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,190}\.tar$"
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=_FILE + "$", max_length=200)]
TarName = Annotated[str, Field(pattern=TAR_NAME, max_length=200)]
SplitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=32)]
MAX_ID, MAX_TEXT = 255, 4096  # characters
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Content = bytes  # a name for what the `bytes` fields below count
Scalar = bool | int | float | Text | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClassInfo(_Part):
    """One class. Its label is its position in the manifest's list, for ever."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID)]
    name: Text


def class_list(names: Iterable[tuple[str, str]], where: Path) -> tuple[ClassInfo, ...]:
    """The class list of these (id, name) pairs, in their order. `where` they come from, for the error."""
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
    """A file derived from the tars; of a large one also the SHA-256 of each MiB, so that it can be read in parts."""

    name: FileName
    bytes: Count
    sha256: Sha256
    parts: Annotated[tuple[Sha256, ...], Field(max_length=1 << 20)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """The parts are as many as the file has."""
        if self.parts is not None and len(self.parts) != -(-self.bytes // PART):
            raise ValueError(f"{len(self.parts):,} parts of {PART:,} bytes do not make {self.bytes:,} bytes")
        return self

    @model_serializer(mode="wrap")
    def _without_none(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return fields if self.parts is not None else {name: fields[name] for name in ("name", "bytes", "sha256")}

    @classmethod
    def of(cls, name: str, content: "Content") -> "FileInfo":
        """The description of a file with this content."""
        return cls(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class SplitInfo(_Part):
    """The tars of one split in order, and its Parquet index."""

    name: SplitName
    samples: Count
    index: FileInfo
    shards: Annotated[tuple[ShardInfo, ...], Field(max_length=1_000_000)]


class SourceInfo(_Part):
    """Where the samples come from: the fingerprint is over sorted (path, size, CRC-32) of the files that were used."""

    layout: Text
    files: Count
    fingerprint: Sha256


class Manifest(_Part):
    """The whole set. `digest` names its content: the tars and the class list, nothing derived."""

    format: Annotated[int, Field(ge=1, le=FORMAT)]
    digest: Sha256
    classes: Annotated[tuple[ClassInfo, ...], Field(min_length=1, max_length=1_000_000)]
    splits: Annotated[tuple[SplitInfo, ...], Field(min_length=1, max_length=64)]
    source: SourceInfo
    options: Annotated[dict[Annotated[str, Field(max_length=64)], Scalar], Field(max_length=64)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Names occur once, sums agree, and the digest is that of the content."""
        names = [shard.name for split in self.splits for shard in split.shards]
        names += [split.index.name for split in self.splits] + [split.name for split in self.splits]
        if len(set(names)) < len(names):
            raise ValueError("a split or file name occurs twice")
        if len({one.id for one in self.classes}) < len(self.classes):
            raise ValueError("a class id occurs twice")
        for split in self.splits:
            if sum(shard.samples for shard in split.shards) != split.samples:
                raise ValueError(f"split {split.name}: its shards do not add up to {split.samples} samples")
        if self.digest != digest_of(self.classes, self.splits):
            raise ValueError("the digest is not that of the content: the file was edited or damaged")
        return self

    @classmethod
    def make(
        cls,
        classes: tuple[ClassInfo, ...],
        splits: tuple[SplitInfo, ...],
        source: SourceInfo,
        options: dict[str, Scalar],
    ) -> "Manifest":
        """A manifest with its digest."""
        digest = digest_of(classes, splits)
        return cls(format=FORMAT, digest=digest, classes=classes, splits=splits, source=source, options=options)

    def render(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n").encode()

    @property
    def made(self) -> dict[str, Scalar] | None:
        """The options that prep made the set with; None where its tars were adopted."""
        return None if self.source.layout == ADOPTED else self.options

    @property
    def samples(self) -> int:
        """Samples of all splits."""
        return sum(split.samples for split in self.splits)


def digest_of(classes: tuple[ClassInfo, ...], splits: tuple[SplitInfo, ...]) -> str:
    """SHA-256 over the class list and the tars; the same whichever version of the format the manifest has."""
    content = [_DIGESTED, [[one.id, one.name] for one in classes]]
    content += [[split.name, [[s.name, s.samples, s.bytes, s.sha256] for s in split.shards]] for split in splits]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def load(root: Path) -> Manifest:
    """The manifest of the set in folder `root`.

    Raises UsageError when there is none, DataError when it is damaged, NewerError when a newer Headrace wrote it.
    """
    refuse_impossible(root)
    path = root / NAME
    try:
        if path.stat().st_size > _LIMIT:
            raise DataError(
                f"{path}: {path.stat().st_size:,} bytes, a manifest has at most {_LIMIT:,}. {remedy.of_manifest(root)}"
            )
        return Manifest.model_validate_json(regular.read(path))
    except FileNotFoundError as error:
        raise UsageError(_missing(root)) from error
    except NotADirectoryError as error:
        raise UsageError(f"{root}: not a folder. Give the folder of a shard set, made by `headrace prep`") from error
    except PermissionError as error:
        raise UsageError(f"{path}: you may not read it ({error.strerror}). Have its owner allow it") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). {remedy.of_manifest(root)}") from error
    except ValidationError as error:
        raise _refusal(root, error) from error


def _refusal(root: Path, error: ValidationError) -> DataError:
    """What to say of a manifest that is not as it should be here."""
    problems = error.errors(include_url=False)
    kinds = {(problem["loc"], problem["type"]) for problem in problems}
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "as a whole"
    if (("format",), "less_than_equal") in kinds:
        return NewerError.of(root / NAME, f"it has a format above {FORMAT}, the last that this version reads")
    if {kind for _, kind in kinds} == {"extra_forbidden"}:  # with a field missing too, a name would be damaged
        return NewerError.of(root / NAME, f"it has a field that this version does not know, {where[:MAX_ID]}")
    return DataError(
        f"{root / NAME}: not a valid manifest: {where}: {first['msg']} ({len(problems)} problems). "
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
