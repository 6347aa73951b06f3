"""The pictures of README, by the program itself: the curve of a run's page, and a part of the sheet of its shard set.

    python -m tests.project.demo_pictures demo/run demo/shards

writes them into docs/pictures anew, after `make demo` and from the root of the checkout.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from headrace.prep.sheet import write_sheet
from headrace.shards.shardset import ShardSet
from headrace.train.record.page.charts import charts_of
from headrace.train.record.page.curves import COLOURS, HEIGHT, WIDTH
from headrace.train.record.page.facts import FactsReader
from tests.checkout import ROOT

FOLDER = ROOT / "docs" / "pictures"
_COLUMN = 728  # pixels: the first of the sheet's two columns of classes
_LEGEND = 22  # pixels below the curves


def curve(run: Path) -> str:
    """Accuracy over epochs, as a picture that stands alone: on white, with the names of its curves."""
    chart = charts_of(FactsReader(run).read())[0]
    names = ", ".join(f'<tspan fill="{COLOURS[one.style]}">{one.name}</tspan>' for one in chart.drawn)
    inner = str(chart.svg()).partition(">")[2].removesuffix("</svg>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + _LEGEND}" width="{WIDTH}">'
        f'<title>{chart.summary()}</title><rect width="100%" height="100%" fill="#fff"/>{inner}'
        f'<text x="{WIDTH // 2}" y="{HEIGHT + 12}" font-size="11" font-family="sans-serif" text-anchor="middle">'
        f"accuracy in % over epochs: {names}</text></svg>\n"
    )


def sheet(shards: Path) -> bytes:
    """The first half of the classes, a row each, as a JPEG: noise makes a PNG twenty times as large."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sheet.png")
        write_sheet(ShardSet.open(shards), path)
        with Image.open(path) as image:
            half = image.crop((0, 0, min(_COLUMN, image.width), image.height))
    data = io.BytesIO()
    half.save(data, "JPEG", quality=60, optimize=True)
    return data.getvalue()


def main() -> None:
    """Write both."""
    run, shards = map(Path, sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "demo-curve.svg").write_text(curve(run), encoding="utf-8")
    (FOLDER / "demo-sheet.jpg").write_bytes(sheet(shards))


if __name__ == "__main__":
    main()
