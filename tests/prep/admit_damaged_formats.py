"""Damaged files of the formats that Pillow decodes, each in a fork: `python -m tests.prep.admit_damaged_formats 100`.

A second word names one format; HEIC, which needs an extra, comes only then.

Prints a line for each format, with how many cases ended in which way.
"""

import io
import os
import random
import resource
import sys
import traceback
from collections import Counter
from functools import partial

import numpy as np
from PIL import Image

from headrace.prep.images.admit import BadImageError, admit
from tests.prep import damage
from tests.prep.damage import Damage

_ADDED = 4 << 30  # bytes of memory that a case may take beyond what is there
_PIXELS = np.random.default_rng(1).integers(0, 255, (40, 56, 4), np.uint8)


def saved(form: str, mode: str, **options: object) -> bytes:
    """A picture encoded in this format."""
    out = io.BytesIO()
    Image.fromarray(_PIXELS).convert(mode).save(out, form, **options)
    return out.getvalue()


def animated(form: str) -> bytes:
    """Two pictures in one file."""
    pictures = [Image.fromarray(one).convert("RGB") for one in (_PIXELS, _PIXELS[::-1])]
    out = io.BytesIO()
    pictures[0].save(out, form, save_all=True, append_images=pictures[1:])
    return out.getvalue()


FILES = {
    "GIF": lambda: animated("GIF"),
    "JPEG 2000": lambda: saved("JPEG2000", "RGB", quality_layers=[20], irreversible=True),
    "JPEG 2000 codestream": lambda: saved("JPEG2000", "RGBA", no_jp2=True, num_resolutions=3),
    "AVIF": lambda: saved("AVIF", "RGBA"),
    "animated AVIF": lambda: animated("AVIF"),
}


def heic() -> bytes:
    """A photograph as a phone stores it."""
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_bytes("RGB", (56, 40), _PIXELS[..., :3].tobytes()).save(out, quality=50)
    return out.getvalue()


DAMAGES: tuple[Damage, ...] = (damage.cut, damage.flipped, damage.scrambled, damage.flipped_at_an_end)


def ending(data: bytes) -> str:
    """How the admission of a file ends, tried in a fork."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
            resource.setrlimit(resource.RLIMIT_AS, (used + _ADDED, used + _ADDED))
            admit(data)
            code = 0
        except BadImageError:
            code = 2
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {0: "admitted", 2: "refused"}.get(code, "raised another error") if code >= 0 else f"ended by signal {-code}"


def main(cases: int, only: str = "") -> None:
    """Try this many cases of each format, or of one format."""
    for name, make in {only: heic}.items() if only == "HEIC" else FILES.items():
        whole, ends = make(), Counter[str]()
        if ending(whole) != "admitted":
            raise SystemExit(f"{name}: not even the whole file is admitted")
        for number in range(cases):
            chance = random.Random(f"{name} {number}")
            spoil = partial(DAMAGES[number % len(DAMAGES)], chance)
            ends[ending(spoil(whole))] += 1
        sys.stdout.write(f"{name}: {dict(ends)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
