"""A script that uses `headrace.Loader`, run as it is, with what its training loader hands out written down.

    recorded.py OUT SCRIPT [ARGUMENT ...]

Appends to OUT/RANK.jsonl one row a sample: [step, place in the global batch, id, hash of the image and its target].
"""

import hashlib
import json
import os
import runpy
import sys
from pathlib import Path

from torch import Tensor

from headrace.train.input.loader_source import Source

RANK = int(os.environ.get("RANK", "0"))


def record(out: Path) -> None:
    """From now on each training batch of any loader is written down when it is handed out."""
    take = Source.take

    def recorded(source: Source, step: int) -> tuple[Tensor, Tensor]:
        images, targets = take(source, step)
        if source._settings.train:
            ids, first = source.whole_plan(step)[0].ids, RANK * len(images)
            rows = [
                (step, first + row, int(ids[first + row]), digest(images[row], targets[row]))
                for row in range(len(images))
            ]
            with (out / f"{RANK}.jsonl").open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        return images, targets

    Source.take = recorded  # type: ignore[assignment, method-assign]


def digest(image: Tensor, target: Tensor) -> str:
    """A hash of the values, to the bit."""
    found = hashlib.md5(image.cpu().contiguous().numpy().tobytes(), usedforsecurity=False)
    found.update(target.cpu().numpy().tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    folder, script = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    record(folder)
    sys.argv = sys.argv[2:]
    runpy.run_path(script, run_name="__main__")
