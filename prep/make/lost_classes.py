"""Before any shard is made, finds the classes to drop: those of which no training image decodes.

Dropping a class changes the labels of other classes and the positions of samples. If such a class were found after
shards had been made, all shards would have to be made again.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.images.admit import BadImageError, admit
from headrace.prep.make.bad_images import NOT_DECODED
from headrace.prep.make.duplicates import Duplicates
from headrace.prep.make.record import Bad
from headrace.prep.sources.imagefolder import empty_classes
from headrace.prep.sources.source import Source
from headrace.prep.sources.table import Chunk
from headrace.shards.manifest import TRAIN


def lost_classes(source: Source, options: Options, workers: int, duplicates: Duplicates) -> list[Bad]:
    """Return all training images of the classes to drop: the classes of which no training image decodes.

    In each class, images are decoded until one of them decodes without error. If --on-bad skip or
    --on-empty-class drop is missing, nothing is decoded, and the result is empty. Duplicates that are omitted do not
    count as images of their class. Raises DataError if no class would remain.
    """
    if options.on_empty_class != "drop" or options.on_bad != "skip":
        return []
    bad: dict[int, list[Bad]] = {}  # of classes without a good image so far
    sound: set[int] = set()
    first, train = 0, source.names.index(TRAIN)
    with ThreadPoolExecutor(workers) as pool:
        for chunk in source.chunks():
            kept = ~duplicates.among(first, len(chunk.paths))
            first += len(chunk.paths)
            rows = _by_class(chunk, kept & (chunk.rows["split"] == train), sound)
            judged = pool.map(partial(_all_bad, source, options, chunk), rows.values())
            for label, found in zip(rows, judged, strict=True):
                if found is None:
                    sound.add(label)
                    bad.pop(label, None)
                else:
                    bad.setdefault(label, []).extend(found)
    if bad and not sound:
        why = {source.classes[label].id: (NOT_DECODED, len(found)) for label, found in sorted(bad.items())}
        raise empty_classes(source.files, why)
    return [one for _, found in sorted(bad.items()) for one in found]


def _by_class(chunk: Chunk, train: NDArray[np.bool_], sound: set[int]) -> dict[int, NDArray[np.int64]]:
    """Return the row numbers of the training images in a chunk, by label.

    Classes in `sound` are omitted, because an image of each is already known to decode. `train` marks the rows of
    training images that are not duplicates.
    """
    own = np.flatnonzero(train)
    labels = chunk.rows["label"][own]
    order = np.argsort(labels, kind="stable")
    classes, firsts = np.unique(labels[order], return_index=True)
    parts = np.split(own[order], firsts[1:])
    return {label: rows for label, rows in zip(classes.tolist(), parts, strict=True) if label not in sound}


def _all_bad(source: Source, options: Options, chunk: Chunk, rows: NDArray[np.int64]) -> list[Bad] | None:
    """Return the images in these rows if none of them decodes; None if at least one decodes."""
    bad = []
    for row in rows:
        (entry,) = chunk.files.take(np.array([row]))
        try:
            admit(source.reader.read(entry), options.prepared)
        except BadImageError as error:
            bad.append(Bad(entry.path, str(error), TRAIN, int(chunk.rows["label"][row])))
        else:
            return None
    return bad
