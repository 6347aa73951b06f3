"""Lists the files beside the Parquet files of a source; refuses the source if those files are a second data set."""

import numpy as np

from headrace.prep.sources.files import Files, Unused
from headrace.prep.sources.survey import survey
from headrace.shards.errors import UsageError

_IMAGE = "an image beside the Parquet files"
_PARQUET = "a Parquet file in a folder whose Parquet files are not read"
_SHOWN = 3  # folders that an error names


def others_in(files: Files, read: set[str]) -> list[Unused]:
    """Return an entry for each file that is not a Parquet file in `read`.

    Raises UsageError if several folders of the source contain images.
    """
    seen = survey(files)
    images = [seen.table.paths[row] for row in seen.images.tolist()]
    folders = sorted({path.rpartition("/")[0] for path in images} - {""})
    if len(folders) > 1:
        some = ", ".join(f"{one}/" for one in folders[:_SHOWN])
        raise UsageError(
            f"{files.root}: it has both Parquet files with images ({min(read)}) and {len(folders):,} folders with "
            f"images ({some}). Move the folders elsewhere, and convert files and folders separately"
        )
    reasons = dict.fromkeys(seen.images.tolist(), _IMAGE)
    reasons |= {row: _PARQUET for row, path in enumerate(seen.table.paths) if path.lower().endswith(".parquet")}
    return [one for one in seen.unused("", np.ones(len(seen.table), bool), reasons, {}) if one.path not in read]
