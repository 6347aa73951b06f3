"""Classes of which no training image decodes, found before any shard is made, where such classes are dropped.

Without a class the others have other labels, and samples other places: found out later, all shards would be made again.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.images.admit import BadImageError, admit
from headrace.prep.make.bad_images import NOT_DECODED
from headrace.prep.make.record import Bad
from headrace.prep.sources.imagefolder import empty_classes
from headrace.prep.sources.source import Source
from headrace.shards.manifest import TRAIN


def lost_classes(source: Source, options: Options, workers: int) -> list[Bad]:
    """The training images of these classes, all of them bad; DataError where these are all classes.

    Of every other class one sound image is decoded, and none where no class is to be dropped.
    """
    if options.on_empty_class != "drop" or options.on_bad != "skip":
        return []
    labels = source.splits[TRAIN].labels
    order = np.argsort(labels, kind="stable")
    classes = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(partial(_all_bad, source, options), classes))
    if found and all(found):
        why = {source.classes[bad[0].label].id: (NOT_DECODED, len(bad)) for bad in found}
        raise empty_classes(source.files, why)
    return [one for bad in found for one in bad]


def _all_bad(source: Source, options: Options, rows: NDArray[np.int64]) -> list[Bad]:
    """The images in these rows of the training split, if all are bad; nothing as soon as one is sound."""
    train, bad = source.splits[TRAIN], []
    for row in rows:
        (entry,) = train.files.take(np.array([row]))
        try:
            admit(source.reader.read(entry), options.prepared)
        except BadImageError as error:
            bad.append(Bad(entry.path, str(error), TRAIN, int(train.labels[row])))
        else:
            return []
    return bad
