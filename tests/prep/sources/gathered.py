"""Holds the samples of a source in memory, so that tests can compare them."""

import numpy as np

from headrace.prep.sources.source import Listed, Source
from headrace.prep.sources.table import joined


def splits_of(source: Source) -> dict[str, Listed]:
    """All samples of each split, sorted by path."""
    whole = joined(list(source.chunks()))
    parts = [whole.take(np.flatnonzero(whole.rows["split"] == code)) for code in range(len(source.names))]
    found = (Listed(part.files, part.rows["label"].astype(np.int64)) for part in parts)
    return dict(zip(source.names, found, strict=True))
