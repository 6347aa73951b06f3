"""Appends images to a set at a URL: uploads new tars, then replaces the manifest if it is unchanged since the planning.

    OUT/SPLIT-NNNNNN.tar, .idx      numbered after the existing tars; no manifest names them yet
    OUT/SPLIT-2.parquet             the index of both parts; readers of the old set keep the old index
    OUT/shardset.json               replaced last, if it still has the same tag

A claim (a file that reserves the URL for one plan) names the manifest that the plan was made for. A claim that names an
earlier manifest is replaced: the prep that made this claim must fail, because the manifest has changed since then.
"""

from headrace.prep.make.planned import Plan
from headrace.prep.make.uploads import CLAIM, Uploads
from headrace.shards import manifest
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.manifest import Manifest
from headrace.shards.names import MANIFEST, WORK
from headrace.shards.remote import AbsentError, Tag
from headrace.shards.urls import Url


class Additions(Uploads):
    """The uploads of one process that appends images to a set at a URL."""

    def __init__(self, url: Url) -> None:
        super().__init__(url)
        self._tag: Tag = {}
        self._plan: Plan | None = None

    def read_set(self) -> tuple[bytes, Manifest]:
        """Return the set's manifest, which will be replaced: its bytes, and its parsed content.

        Raises UsageError if there is no set.
        """
        try:
            content, self._tag = self.remote.read_tagged(MANIFEST, manifest.LIMIT)
        except AbsentError as error:
            raise UsageError(
                f"{self.url}: there is no shard set to append to. Omit --append to make a set, or give another URL"
            ) from error
        return content, manifest.parse(self.url, content)

    def claim(self, plan: Plan) -> None:
        """Claim the URL for this plan, as `Uploads.claim` does for a new set.

        Raises HeadraceError if the set has changed since `read_set`, because then new tars could get the names of
        existing tars.
        """
        self._refuse_change()
        there = self._claimed()
        if there is not None and there.get("onto") != plan.about["onto"]:
            self._remove([one.name for one in self.remote.list(WORK)])
        super().claim(plan)
        self._plan = plan
        try:
            self._refuse_change()
        except HeadraceError:
            self.release()
            raise

    def _refuse_change(self) -> None:
        if self.remote.read_tagged(MANIFEST, manifest.LIMIT)[1] != self._tag:
            raise self._changed()

    def _changed(self) -> HeadraceError:
        return HeadraceError(
            f"{self.url / MANIFEST}: another prep has changed the set since this prep read it. "
            "Give the same command again to append to the changed set"
        )

    def _finish(self, content: bytes) -> None:
        if not self.remote.replace(MANIFEST, content, self._tag):
            raise self._changed()
        self.release()

    def release(self) -> None:
        """Remove this plan's claim, tables and records from the URL, but not the claim of a later plan."""
        if self._plan is not None:
            own = tuple(f"{self._folder(self._plan)}{ending}" for ending in ("/", ".plan/"))
            self._remove([one.name for one in self.remote.list(WORK) if one.name.startswith(own)])
            if (self._claimed() or {}).get("id") == self._plan.id:
                self._remove([CLAIM])
