from pathlib import Path

import numpy as np

from headrace.shards.encoded import Ready
from headrace.shards.shardset import ShardSet
from headrace.train.input.assembly import Input
from headrace.train.input.augment.views import centre_views
from headrace.train.input.decode.loose import Loose
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from tests.train.pictures import CPU


def test_pixels_are_those_of_the_split(tiny_set: Path) -> None:
    """The same files have the same pixels outside a split; ids continue beyond the first columns."""
    split, loose = ShardSet.open(tiny_set)["val"], Loose()
    for _ in range(1100):
        loose.forget(loose.add(Ready("x", b"", 1, 1)))
    jpegs = [split[number].jpeg for number in range(len(split))]
    ids = [loose.add(Ready(f"f{number}", jpeg, 64, 64)) for number, jpeg in enumerate(jpegs)]
    assert (len(loose), loose.describe(ids[3])) == (1100 + len(split), "f3")
    made = []
    for source, rows in ((split, np.arange(len(split))), (loose, np.array(ids))):
        views = centre_views(0.875, 32, source.widths[rows], source.heights[rows])
        plan = Plan(0, 0, rows, rows, Wanted(rows, views, 32))
        with Input(source, len(rows), Place(World(), CPU, 2)) as images:
            ((_, pixels),) = images.images(iter([plan]))
            made.append(pixels.numpy().copy())
    np.testing.assert_array_equal(made[0], made[1])
