"""Compares Headrace's pixels with torchvision's, operation by operation, and the effect on a checkpoint's accuracy.

    python -m benchmarks.input.parity SHARDS [--images 500] [--checkpoint RUN/best.pt] [--seed 0]

The same images, boxes and parameters go through the product and through Pillow, which is called as torchvision calls it
(pillow.py); if torchvision is installed, also through its own functions. Differences are absolute, in grey levels of 0
to 255, over all pixels and channels. Decoding, resizing and the whole path begin with the JPEG; every operator after
the resize begins with the same resized image. With `--checkpoint`, the validation split is evaluated twice in fp32,
once with the images of each side.

Differences are expected in two places. Torch's resize of uint8 rounds after each of its two passes like Pillow's, but
its weights differ in the last bit. The rows `on a GPU` show DALI's graph for GPUs, run on a CPU: its resize rounds
once, and repeats the last pixel beyond the edge of an image that is shrunk, where torch and Pillow omit pixels.
"""

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.input.parity.accuracy import accuracies
from benchmarks.input.parity.tables import pixel_tables
from benchmarks.input.parity.torchvision import reference
from headrace.shards.errors import HeadraceError
from headrace.shards.shardset import ShardSet


def main() -> None:
    """Compare the pixels, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "parity", "Headrace's pixels beside torchvision's")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.add("--images", type=int, default=500, help="training images, evenly spread over the split")
    benchmark.add("--checkpoint", type=path, help="a checkpoint whose accuracy is measured on both sides")
    benchmark.add("--seed", type=int, default=0, help="seed of crops and changes")
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
