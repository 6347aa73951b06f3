"""Manages the work folder, beside the target OUT, in which the processes of all hosts make a set.

    .OUT.partial/ID/            the tars and their .idx; renamed at the end to become the set
    .OUT.partial/ID.records/    the result of each finished shard
    .OUT.partial/ID.plan/       the plan, if other processes need it

ID is the beginning of the plan's id. Processes that make shards never create these folders. When the set is published,
or when a prep with another plan begins, the folders are removed. A process that is still making a shard can then no
longer write the shard, so it does no harm.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headrace.prep.make.planned import Plan, load_plan
from headrace.shards import store
from headrace.shards.targets import refuse_of_others

_PLAN, _RECORDS = ".plan", ".records"
_ID = 16  # characters of a plan's id


class Room:
    """The work folder beside `out`. Only the holder of the lock on `out` makes or removes folders in it."""

    def __init__(self, out: Path) -> None:
        self.folder = store.work_folder(out)

    def set_of(self, plan: Plan) -> Path:
        """Return the folder for the tars of a plan, which is renamed at the end to become the set."""
        return self.folder / plan.id[:_ID]

    def records_of(self, plan: Plan) -> Path:
        """Return the folder for the records of a plan."""
        return self.folder / f"{plan.id[:_ID]}{_RECORDS}"

    def found(self) -> Plan | None:
        """Return the plan for processes with --part; None if there is no plan that this version of Headrace can use."""
        plans = (load_plan(one) for one in sorted(self.folder.glob(f"*{_PLAN}")))
        return next((one for one in plans if one is not None and self.set_of(one).is_dir()), None)

    @contextmanager
    def planning(self) -> Iterator[Path]:
        """A context with an empty folder for a plan.

        At the end of the context, the folder is removed. If the work folder is then empty, it is removed too.
        """
        self._make()
        folder = store.partial_of(self.folder / "plan")
        with store.writing(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            with suppress(OSError):
                store.discard(folder)
                self.folder.rmdir()

    def enter(self, plan: Plan) -> None:
        """Make the folders for the tars and the records of a plan."""
        with store.writing(self.folder):
            for folder in (self.set_of(plan), self.records_of(plan)):
                folder.mkdir(exist_ok=True)

    def remove_others(self, plan: Plan) -> None:
        """Remove everything in the work folder except the folders of this plan."""
        keep = {self.set_of(plan), self.records_of(plan), self._plan_of(plan), plan.folder}
        with store.writing(self.folder):
            for one in self.folder.iterdir():
                if one not in keep or one.is_symlink() or not one.is_dir():
                    _remove(one)

    def publish_plan(self, plan: Plan) -> Plan:
        """Make a plan visible to processes with --part; return it with its new folder."""
        target = self._plan_of(plan)
        store.publish_folder(plan.folder, target)  # replaces a plan that `found` could not use
        return Plan(target, plan.about)

    def close(self) -> None:
        """Remove the whole work folder. Call this after the set has been published."""
        with suppress(OSError):  # a late process may still be writing in it
            store.discard(self.folder)

    def _make(self) -> None:
        with store.writing(self.folder):
            refuse_of_others(self.folder)
            if self.folder.is_symlink():
                store.discard(self.folder)
            self.folder.mkdir(exist_ok=True)

    def _plan_of(self, plan: Plan) -> Path:
        return self.folder / f"{plan.id[:_ID]}{_PLAN}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        store.discard(path)
    else:
        path.unlink()
