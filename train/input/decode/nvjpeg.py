"""Checks that DALI has loaded nvJPEG, the GPU's decoder.

Without nvJPEG, DALI's "mixed" decoder would decode on the CPU without a warning.
"""

from pathlib import Path

from headrace.shards.errors import HeadraceError

_FILES_OF_THIS_PROCESS = Path("/proc/self/maps")


class NoNvjpegError(HeadraceError):
    """Raised if images that must be decoded by the GPU would be decoded on the CPU."""


def refuse_without_nvjpeg() -> None:
    """Raise NoNvjpegError if this process has built a decoder without loading libnvjpeg.

    nvImageCodec, DALI's library for decoding, loads libnvjpeg when it makes the first decoder of a process. If
    libnvjpeg cannot be loaded, nvImageCodec works without the decoders that need this library. nvImageCodec's nvjpeg
    extension then reports "Decoders and encoders will not be registered".
    """
    if "/libnvjpeg.so" not in _FILES_OF_THIS_PROCESS.read_text(encoding="utf-8", errors="replace"):
        raise NoNvjpegError(
            "runtime.decode is mixed, but DALI finds no libnvjpeg and would silently decode on the CPU. Install "
            "nvidia-nvjpeg-cu12 (if DALI is for CUDA 13: nvidia-nvjpeg), or set runtime.decode=cpu"
        )
