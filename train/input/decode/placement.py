"""Where the JPEGs of a run on a GPU are decoded: on the CPU, or by the GPU's nvJPEG ("mixed")."""

from typing import NamedTuple

from headrace.shards.encoded import Encoded, mean_file_size, mean_pixels
from headrace.train.machine.device import Accelerator

LARGE_PIXELS = 128 * 128
"""Of an image on average, above which a GPU decodes. Not measured on a GPU: below it a CPU takes 30 to 60 microseconds
an image, which few cores keep up with, and a GPU's many small launches would be in the training step's way."""


class Placement(NamedTuple):
    """The choice, "cpu" or "mixed", and why."""

    where: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.where} ({self.reason})" if self.reason else self.where


def place_decoder(wanted: str, images: Encoded, accelerator: Accelerator) -> Placement:
    """Where the decoder of these images belongs, if `wanted` is "auto", and else what is wanted.

    The two give other pixels, so a run keeps to one. Raises UsageError when mixed decoding is asked for without a GPU.
    """
    if wanted != "auto" or not len(images):
        return Placement(accelerator.decode_placement(wanted))
    return accelerator.either(cpu=_on_cpu, gpu=by_size)(images)


def by_size(images: Encoded) -> Placement:
    """The rule for a GPU: small images are decoded by the CPU."""
    pixels = mean_pixels(images)
    kilobytes = mean_file_size(images) / 1000
    where, relation = ("mixed", "above") if pixels > LARGE_PIXELS else ("cpu", "at most")
    return Placement(where, f"images of {pixels:,.0f} pixels, {relation} {LARGE_PIXELS:,}, and {kilobytes:.1f} kB")


def _on_cpu(_: Encoded) -> Placement:
    return Placement("cpu")
