"""Makes a set at a URL: uploads shards one by one, each followed by its record, and the manifest last.

    OUT/NAME.tar, OUT/NAME.idx      uploaded when the shard is made; all preps with the same plan upload equal bytes
    OUT/.prep/plan.json             the claim: the plan of the set being made; a prep with another plan is refused
    OUT/.prep/ID/NAME.record        the result of a finished shard
    OUT/.prep/ID.plan/              the tables of the plan, for parts

Object storage has neither locks nor renames. They are not needed: a file is either complete or absent, the claim is
never overwritten, and all preps with the same plan write equal files.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from headrace.prep.make.planned import ABOUT, Job, Plan, load_plan
from headrace.prep.make.record import Record, digest_of, load_header, record_path
from headrace.shards import store
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.names import MANIFEST, WORK
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.urls import Url

CLAIM = f"{WORK}/{ABOUT}"
_MOST = 1 << 30  # bytes of a record or of the plan's file
_ID = 16  # characters of a plan's id
_THREADS = 16  # most of their time is spent waiting for storage
_AT_ONCE = 1000  # files removed by one request


class Uploads:
    """The uploads of one process to a set at a URL.

    A copy of this object in a worker process opens its own connection.
    """

    def __init__(self, url: Url) -> None:
        self.url = url
        self._remote: Remote | None = None

    @property
    def remote(self) -> Remote:
        """The connection to the storage, which is opened when it is first used."""
        if self._remote is None:
            self._remote = Remote(self.url)
        return self._remote

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "_remote": None}

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file at the URL, by name."""
        return {one.name: one.bytes for one in self.remote.list()}

    def claim(self, plan: Plan) -> None:
        """Reserve the URL for this plan by creating the claim; preps with another plan are then refused.

        Raises UsageError if another plan has claimed the URL, or if there are files that prep did not upload.
        """
        there = self._claimed()
        if there is None:
            if (
                "onto" not in plan.about
                and (other := next(self.remote.list(), None)) is not None
                and not other.name.startswith(f"{WORK}/")
            ):
                raise UsageError(
                    f"{self.url}: there are files ({other.name}), but no {MANIFEST}, so it is not a shard set. Choose "
                    "another OUT"
                )
            for path in sorted(plan.folder.iterdir()):
                if path.name != ABOUT and path.is_file():
                    self.remote.put(f"{self._folder(plan)}.plan/{path.name}", path)
            if self.remote.create(CLAIM, json.dumps(plan.about).encode()):
                return
            there = self._claimed()
        if there is None or there.get("id") != plan.id:
            raise UsageError(
                f"{self.url}: a set from another source, or with other options, is being made there. Wait until that "
                "prep ends, or choose another OUT. If that prep has died, its files can be listed a day later: "
                f"`headrace clean {self.url}`"
            )

    def fetch_plan(self, folder: Path) -> Plan | None:
        """Copy the plan that has claimed the URL into an empty folder.

        Return the plan, or None if there is no usable plan.
        """
        there = self._claimed()
        if there is None:
            return None
        try:
            prefix = f"{self._folder(Plan(folder, there))}.plan"
            for one in self.remote.list(prefix):
                path = folder / Path(one.name).name
                with store.writing(path), path.open("wb") as stream:
                    self.remote.download(one.name, stream)
            store.write_bytes(folder / ABOUT, json.dumps(there).encode())
        except (KeyError, TypeError):
            return None
        return load_plan(folder)

    def _claimed(self) -> dict[str, Any] | None:
        with suppress(AbsentError):
            try:
                found = json.loads(self.remote.read(CLAIM, _MOST))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self.url / CLAIM}: damaged ({error}). Choose another OUT") from error
            return found if isinstance(found, dict) else {}
        return None

    def keep(self, record: Record, made: Path, records: Path, plan: Plan) -> None:
        """Upload a shard's tar and .idx from the folder `made`, then its record.

        Then remove the tar and .idx from `made`.
        """
        for name in (f"{record.name}.tar", f"{record.name}.idx"):
            self.remote.put(name, made / name)
        self.remote.put(self._record(plan, record.name), record_path(records, record.name))
        for name in (f"{record.name}.tar", f"{record.name}.idx"):
            (made / name).unlink(missing_ok=True)

    def finished(self, jobs: Collection[Job], plan: Plan, records: Path) -> dict[str, Record]:
        """Return, by shard name, the records of jobs whose shard is at the URL and was made from the files in the plan.

        The records are fetched into the folder `records`.
        """
        sizes = self.sizes()
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda job: self._fetch(job, plan, records, sizes), jobs)
            return {record.name: record for record in found if record is not None}

    def _fetch(self, job: Job, plan: Plan, records: Path, sizes: Mapping[str, int]) -> Record | None:
        name = self._record(plan, job.name)
        if name not in sizes:
            return None
        try:
            store.write_bytes(record_path(records, job.name), self.remote.read(name, _MOST))
            record = load_header(records, job.name)
        except (AbsentError, ValueError):  # removed or damaged, so the shard is made again
            return None
        whole = _are_there([record], sizes)
        return record if whole and record.made_of == digest_of(plan.listed(job)) else None

    def forget(self, names: Collection[str], plan: Plan) -> None:
        """Remove the records of shards that will be made again, because a record must never describe an earlier tar."""
        self._remove([self._record(plan, name) for name in names])

    def publish(self, made: Path, records: Collection[Record]) -> None:
        """Upload the set's files other than tars and .idx, the manifest last.

        Then remove the claim, the plan and the records. Raises HeadraceError if shards are missing or changed.
        """
        if not _are_there(records, self.sizes()):
            raise HeadraceError(
                f"{self.url}: finished shards are missing there or have changed. "
                "Give the same command again to replace them"
            )
        manifest = made / MANIFEST
        for path in sorted(made.iterdir()):
            if path.is_file() and path != manifest and not path.name.endswith(store.PARTIAL):
                self.remote.put(path.name, path)
        self._finish(manifest.read_bytes())

    def _finish(self, content: bytes) -> None:
        """Upload the manifest, and remove the claim, the plan and the records."""
        if not self.remote.create(MANIFEST, content):
            raise HeadraceError(
                f"{self.url / MANIFEST}: another set was published there meanwhile, or the server altered the file "
                f"(SHA-256 before the upload: {hashlib.sha256(content).hexdigest()[:16]}). Choose another OUT"
            )
        self._remove([one.name for one in self.remote.list(WORK)])

    def _remove(self, names: list[str]) -> None:
        for first in range(0, len(names), _AT_ONCE):
            self.remote.remove(*names[first : first + _AT_ONCE])

    def _folder(self, plan: Plan) -> str:
        return f"{WORK}/{plan.id[:_ID]}"

    def _record(self, plan: Plan, name: str) -> str:
        return f"{self._folder(plan)}/{name}.record"


def _are_there(records: Collection[Record], sizes: Mapping[str, int]) -> bool:
    """Return whether the tar and .idx of each of these shards exist, with the sizes in the shard's record."""
    files = ((f"{one.name}{ending}", file.bytes) for one in records for ending, file in _files(one))
    return all(sizes.get(name) == size for name, size in files)


def _files(record: Record) -> tuple[tuple[str, Any], ...]:
    return (".tar", record.tar), (".idx", record.idx)
