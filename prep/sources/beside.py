"""What lies in a folder beside the Parquet files that are read: named by reason, or refused where it is a data set."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.sources.files import Unused
from headrace.prep.sources.folder import FolderFiles
from headrace.prep.sources.survey import survey
from headrace.shards.errors import UsageError

_IMAGE = "an image beside the Parquet files"
_PARQUET = "a Parquet file in another folder than those that are read"
_SHOWN = 3  # folders that an error names


def others_in(root: Path, paths: Iterable[Path], options: Options) -> list[Unused]:
    """All files in the folder `root` but these. Raises UsageError where images lie in several folders, as classes."""
    read = {path.relative_to(root).as_posix() for path in paths}
    seen = survey(FolderFiles(root, follow=options.follow_links))
    images = [seen.table.paths[row] for row in seen.images.tolist()]
    folders = sorted({path.rpartition("/")[0] for path in images} - {""})
    if len(folders) > 1:
        some = ", ".join(f"{one}/" for one in folders[:_SHOWN])
        raise UsageError(
            f"{root}: Parquet files with images ({min(read)}) and {len(folders):,} folders with images ({some}) lie "
            "there. Move one of the two elsewhere, and give each as a source"
        )
    reasons = dict.fromkeys(seen.images.tolist(), _IMAGE)
    reasons |= {row: _PARQUET for row, path in enumerate(seen.table.paths) if path.lower().endswith(".parquet")}
    return [one for one in seen.unused("", np.ones(len(seen.table), bool), reasons, {}) if one.path not in read]
