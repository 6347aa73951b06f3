"""Ends a prep that would omit too many undecodable images, or, unless allowed, all training images of a class.

Both limits are checked while shards are being made, so that the prep ends early; finished shards are kept.
"""

from collections import Counter

from headrace.prep.command.options import Options
from headrace.prep.make.planned import Plan
from headrace.prep.make.record import Bad
from headrace.prep.sources.files import Files
from headrace.prep.sources.imagefolder import empty_classes
from headrace.shards.errors import DataError
from headrace.shards.manifest import TRAIN

NOT_DECODED = "do not decode"


class BadImages:
    """Collects the bad images of all splits: images that are omitted because they do not decode.

    `before` has the bad images of classes that were dropped before planning, each with the id of its class.
    """

    def __init__(self, files: Files, plan: Plan, options: Options, before: list[tuple[str, Bad]]) -> None:
        self._found: list[Bad] = []
        self._before = before
        self._files, self._classes, self._options, self._images = files, plan.classes, options, plan.images
        self._left = plan.training
        self._lost: list[int] = []
        self._check_bound()

    def add(self, bad: list[Bad]) -> None:
        """Count more bad images.

        Raises DataError if there are too many, or if a class has lost all its training images.
        """
        for one in bad:
            self._found.append(one)
            if one.split == TRAIN:
                self._left[one.label] -= 1
                if not self._left[one.label]:
                    self._lost.append(one.label)
        if bad:
            self._check_bound()
            self._check_classes()

    def all(self) -> list[tuple[str, Bad]]:
        """Return every bad image, with the id of its class."""
        return [*self._before, *((self._classes[one.label].id, one) for one in self._found)]

    def _check_bound(self) -> None:
        count, most = len(self._found) + len(self._before), self._options.most_bad(self._images)
        if count > most:
            asked = "--max-bad" if self._options.max_bad is not None else "by default 10 or 1 %, whichever is more"
            _, first = self.all()[0]
            raise DataError(
                f"{self._files.root}: {count:,} of {self._images:,} images do not decode, more than the "
                f"{most:,} that may be omitted ({asked}); one of them is {first.path}: {first.reason}. Replace the "
                "files, or give a larger --max-bad (100% allows any number). Finished shards are kept"
            )

    def _check_classes(self) -> None:
        if self._lost and (self._options.on_empty_class == "error" or not any(self._left)):
            counts = Counter(one.label for one in self._found if one.split == TRAIN)
            why = {self._classes[label].id: (NOT_DECODED, counts[label]) for label in sorted(self._lost)}
            raise empty_classes(self._files, why)
