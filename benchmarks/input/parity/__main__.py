"""How far our pixels are from torchvision's, operation by operation, and what that does to a checkpoint's accuracy.

    python -m benchmarks.input.parity SHARDS [--images 500] [--checkpoint RUN/best.pt] [--seed 0]

The same images, boxes and parameters go through the product and through Pillow, called as torchvision calls it
(pillow.py); where torchvision itself is installed, through its own functions too. Differences are absolute, in grey
levels of 0 to 255, over all pixels and channels. Decoding, resizing and the whole path begin at the JPEG; every
operator after the resize begins at one and the same resized image. With `--checkpoint` the validation split is
evaluated twice in fp32, once from either side's images.

Where a difference is expected: torch's resize of uint8 rounds after each of its two passes as Pillow's does, with
other weights in the last bit. The rows `on a GPU` are DALI's graph for GPUs, run on a CPU: its resize rounds once, and
beyond the edge of an image that becomes smaller it repeats the last pixel, where torch and Pillow leave pixels out.
"""

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.input.parity.accuracy import accuracies
from benchmarks.input.parity.tables import pixel_tables
from benchmarks.input.parity.torchvision import reference
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet


def main() -> None:
    """Compare and write the result."""
    benchmark = Benchmark(__file__, __doc__, "parity", "Our pixels beside torchvision's")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.add("--images", type=int, default=500, help="training images, evenly spread over the split")
    benchmark.add("--checkpoint", type=path, help="a checkpoint whose accuracy is taken both ways")
    benchmark.add("--seed", type=int, default=0, help="of crops and changes")
    asked = benchmark.parse(reference=reference())
    try:
        shards = ShardSet.open(asked.shards)
        tables = pixel_tables(shards, asked.images, asked.seed)
        if asked.checkpoint:
            tables["One checkpoint on the validation split"] = list(accuracies(asked.checkpoint, shards))
    except HeadraceError as error:
        benchmark.fail(error, error.exit_code)
    benchmark.note(**{"shard set": shards.digest[:16]})
    benchmark.write(tables)


if __name__ == "__main__":
    main()
