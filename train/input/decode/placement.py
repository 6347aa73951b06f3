"""Chooses where a run on a GPU decodes JPEGs: on the CPU, or with the GPU's nvJPEG ("mixed")."""

from typing import NamedTuple

from headrace.shards.encoded import Encoded, mean_file_size, mean_pixels
from headrace.train.machine.device import Accelerator

LARGE_PIXELS = 128 * 128
"""The average number of pixels per image above which a run on a GPU decodes with the GPU. This limit has not been
measured on a GPU. A CPU core decodes a smaller image in 30 to 60 microseconds, so a few cores are enough for a GPU. To
decode small images, the GPU itself would need many small kernel launches, which would disturb the training step."""


class Placement(NamedTuple):
    """The place where JPEGs are decoded, "cpu" or "mixed" (the GPU's nvJPEG), and the reason for this choice."""

    where: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.where} ({self.reason})" if self.reason else self.where


def place_decoder(wanted: str, images: Encoded, accelerator: Accelerator) -> Placement:
    """Return where to decode these images: at `wanted`, or if that is "auto", at the place that suits their size.

    On a CPU, "auto" always means "cpu". A CPU and a GPU decode to slightly different pixels, so a run keeps its choice.
    Raises UsageError if `wanted` is "mixed" and there is no GPU.
    """
    if wanted != "auto" or not len(images):
        return Placement(accelerator.decode_placement(wanted))
    return accelerator.either(cpu=_on_cpu, gpu=by_size)(images)


def by_size(images: Encoded) -> Placement:
    """Return where a run on a GPU decodes: on the CPU if the images are small on average, otherwise on the GPU."""
    pixels = mean_pixels(images)
    kilobytes = mean_file_size(images) / 1000
    where, relation = ("mixed", "above") if pixels > LARGE_PIXELS else ("cpu", "at most")
    return Placement(where, f"images of {pixels:,.0f} pixels, {relation} {LARGE_PIXELS:,}, and {kilobytes:.1f} kB")


def _on_cpu(_: Encoded) -> Placement:
    return Placement("cpu")
