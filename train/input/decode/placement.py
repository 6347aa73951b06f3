"""Chooses where a run on a GPU decodes JPEGs: on the CPU, or with the GPU's nvJPEG ("mixed")."""

from typing import NamedTuple

from headrace.shards.encoded import Encoded, mean_file_size, mean_pixels
from headrace.train.machine.device import Accelerator

LARGE_PIXELS = 128 * 128
"""The average number of pixels per image above which a GPU decodes. This limit is not measured on a GPU: below it a CPU
takes 30 to 60 microseconds per image, so a few cores keep up, and a GPU's many small launches would disturb the
training step."""


class Placement(NamedTuple):
    """The choice, "cpu" or "mixed", and the reason."""

    where: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.where} ({self.reason})" if self.reason else self.where


def place_decoder(wanted: str, images: Encoded, accelerator: Accelerator) -> Placement:
    """Return where to decode: chosen for these images if `wanted` is "auto", otherwise `wanted`.

    CPU and GPU give different pixels, so a run keeps its choice. Raises UsageError if mixed decoding is requested
    without a GPU.
    """
    if wanted != "auto" or not len(images):
        return Placement(accelerator.decode_placement(wanted))
    return accelerator.either(cpu=_on_cpu, gpu=by_size)(images)


def by_size(images: Encoded) -> Placement:
    """Return the choice for a run on a GPU: the CPU decodes small images."""
    pixels = mean_pixels(images)
    kilobytes = mean_file_size(images) / 1000
    where, relation = ("mixed", "above") if pixels > LARGE_PIXELS else ("cpu", "at most")
    return Placement(where, f"images of {pixels:,.0f} pixels, {relation} {LARGE_PIXELS:,}, and {kilobytes:.1f} kB")


def _on_cpu(_: Encoded) -> Placement:
    return Placement("cpu")
