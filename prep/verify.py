"""`headrace verify`: checks a shard set with `headrace.shards.verify`; with --deep, decodes images as prep does."""

import json
import time
from dataclasses import dataclass

from headrace.prep.command.progress import Say, progress
from headrace.prep.images.admit import sides
from headrace.shards.cores import usable_cores
from headrace.shards.errors import DataError
from headrace.shards.manifest import ShardInfo
from headrace.shards.urls import Location
from headrace.shards.verify import Report
from headrace.shards.verify_remote import manifest_at, verify_at


@dataclass(frozen=True)
class Checked:
    """The result of a verification."""

    root: Location
    deep: bool  # whether every image was decoded
    report: Report
    seconds: float

    @property
    def shards(self) -> list[ShardInfo]:
        """The tars of all splits."""
        return [shard for split in self.report.manifest.splits for shard in split.shards]

    def refuse_problems(self) -> None:
        """Raise DataError if there is any problem."""
        if count := len(self.report.problems):
            what = "1 problem" if count == 1 else f"{count:,} problems"
            raise DataError(f"{self.root}: {what}, listed above. Do not train on this set. {self.report.remedy}")

    def line(self) -> str:
        """The closing line for a set without problems; it names the checks that were made."""
        what = "sizes, SHA-256, index against tars" + (", every image decoded" if self.deep else "")
        return (
            f"{self.root}: sound. {self.report.manifest.samples:,} samples in {len(self.shards):,} shards, "
            f"{sum(shard.bytes for shard in self.shards):,} bytes: {what} ({self.seconds:.1f} s)"
        )

    def as_object(self) -> str:
        """The result as one JSON object."""
        record = {
            "root": str(self.root),
            "sound": not self.report.problems,
            "deep": self.deep,
            "samples": self.report.manifest.samples,
            "shards": len(self.shards),
            "bytes": sum(shard.bytes for shard in self.shards),
            "problems": self.report.problems,
            "remedy": self.report.remedy,
            "seconds": self.seconds,
        }
        return json.dumps(record, indent=1)


def examine(root: Location, *, deep: bool) -> Checked:
    """Check a set and show the progress. Raises the same errors as `headrace.shards.verify.verify`."""
    began = time.monotonic()
    with progress(manifest_at(root).samples, "verify") as report:
        found = verify_at(root, decode=sides if deep else None, threads=usable_cores(), progress=report)
    return Checked(root, deep, found, time.monotonic() - began)


def check(root: Location, *, deep: bool, say: Say) -> str:
    """Check a set and print each problem; raise DataError if there is a problem, else return the closing line."""
    found = examine(root, deep=deep)
    for problem in found.report.problems:
        say(problem)
    found.refuse_problems()
    return found.line()
