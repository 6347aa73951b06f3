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
from headrace.prep.sources.table import Chunk
from headrace.shards.manifest import TRAIN


def lost_classes(source: Source, options: Options, workers: int) -> list[Bad]:
    """The training images of these classes, all of them bad; DataError where these are all classes.

    Of every other class one sound image is decoded, and none where no class is to be dropped.
    """
    if options.on_empty_class != "drop" or options.on_bad != "skip":
        return []
    bad: dict[int, list[Bad]] = {}  # of classes of which no sound image was seen
    sound: set[int] = set()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in source.chunks():
            rows = _by_class(chunk, source.names.index(TRAIN), sound)
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


def _by_class(chunk: Chunk, train: int, sound: set[int]) -> dict[int, NDArray[np.int64]]:
    """The rows of each class that has training images in the chunk, but for those that are known to be sound."""
    own = np.flatnonzero(chunk.rows["split"] == train)
    labels = chunk.rows["label"][own]
    order = np.argsort(labels, kind="stable")
    classes, firsts = np.unique(labels[order], return_index=True)
    parts = np.split(own[order], firsts[1:])
    return {label: rows for label, rows in zip(classes.tolist(), parts, strict=True) if label not in sound}


def _all_bad(source: Source, options: Options, chunk: Chunk, rows: NDArray[np.int64]) -> list[Bad] | None:
    """The images in these rows, if all are bad; None as soon as one is sound."""
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
