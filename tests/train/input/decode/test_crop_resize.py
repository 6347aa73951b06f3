"""Cutting and resizing on the CPU, compared with torchvision and with DALI's graph."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import interpolate

from headrace.prep.images.drawing import draw
from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views
from headrace.train.input.decode import dali
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.crop_resize import resample
from headrace.train.input.decode.regions import seen
from headrace.train.input.kernels import filters
from tests.checkout import SEARCH
from tests.train.pictures import Pixels

CROP = Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5)
shapes = st.lists(st.tuples(st.integers(1, 140), st.integers(1, 140)), min_size=1, max_size=30)


def noise(shapes: list[tuple[int, int]]) -> list[Pixels]:
    """Return images of these heights and widths; every other one is black and white, so that filters overshoot."""
    drawn = [np.random.default_rng(one).integers(0, 256, (*shape, 3), np.uint8) for one, shape in enumerate(shapes)]
    return [np.where(image > 127, 255, 0).astype(np.uint8) if one % 2 else image for one, image in enumerate(drawn)]


def samples_of(images: list[Pixels]) -> Samples:
    """Return the images as a split would describe them."""
    heights, widths = np.array([image.shape[:2] for image in images], np.int32).T
    return Samples(np.zeros(len(images), np.int64), np.arange(len(images)), widths, heights)


def resized(image: Pixels, height: int, width: int, *, cubic: bool = False) -> Pixels:
    """Return the result of torchvision for a uint8 tensor."""
    channels_first = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    mode = "bicubic" if cubic else "bilinear"
    made = interpolate(channels_first, (height, width), mode=mode, antialias=True)
    return made[0].permute(1, 2, 0).numpy()


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(1, 120), st.booleans())
def test_training_views_are_torchvisions(shapes: list[tuple[int, int]], size: int, cubic: bool) -> None:
    """Cut, resize and flip give torchvision's bits, for any shapes in the batch."""
    images = noise(shapes)
    views = train_views(CROP, 3, samples_of(images))
    made = resample(Images.of(images), views, size, cubic=cubic).numpy()
    for image, one, (top, start), (bottom, end) in zip(
        images, made, views.start.astype(int).tolist(), views.end.astype(int).tolist(), strict=True
    ):
        wanted = resized(image[top:bottom, min(start, end) : max(start, end)], size, size, cubic=cubic)
        assert (one == (wanted[:, ::-1] if start > end else wanted)).all()


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(1, 120), st.sampled_from([1.0, 0.875, 0.5]), st.booleans())
def test_central_views_are_torchvisions(shapes: list[tuple[int, int]], size: int, fraction: float, cubic: bool) -> None:
    """Resizing the shorter side and cutting out the centre give torchvision's bits."""
    images = noise(shapes)
    samples = samples_of(images)
    views = centre_views(fraction, size, samples.widths, samples.heights)
    made = resample(Images.of(images), views, size, cubic=cubic).numpy()
    short = round(size / fraction)
    for image, one in zip(images, made, strict=True):
        tall, wide = (int(short * side / min(image.shape[:2])) for side in image.shape[:2])
        top, left = round((tall - size) / 2), round((wide - size) / 2)
        assert (one == resized(image, tall, wide, cubic=cubic)[top : top + size, left : left + size]).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_large_images_start_no_threads(mirrored: bool) -> None:
    """Torch starts no threads of its own, even for images above its threshold for parallel work."""
    images, box = noise([(700, 900)]), ((50, 850), (600, 20)) if mirrored else ((50, 20), (600, 850))
    start, end = (np.array([corner], np.float32) for corner in box)
    views = Views(start, end)
    before = _threads()
    made = resample(Images.of(images), views, 224)
    assert _threads() == before
    wanted = resized(images[0][50:600, 20:850], 224, 224)
    assert (made[0].numpy() == (wanted[:, ::-1] if mirrored else wanted)).all()


EDGE = """
import ctypes, mmap
import numpy as np
from headrace.train.input.decode.arrays import Images
from headrace.train.input.decode.crop_resize import resample
from tests.train.input.decode.test_crop_resize import noise, samples_of
from headrace.prep.images.drawing import draw
from headrace.train.input.augment.views import centre_views

region = mmap.mmap(-1, 2 * mmap.PAGESIZE)
every = np.frombuffer(region, np.uint8)
forbidden = ctypes.c_void_p(every.ctypes.data + mmap.PAGESIZE)
if ctypes.CDLL(None).mprotect(forbidden, mmap.PAGESIZE, 0):
    raise SystemExit("mprotect failed")
for shape in ((5, 7), (31, 30), (1, 1), (3, 40)):
    (image,) = noise([shape])
    pixels = every[mmap.PAGESIZE - image.size : mmap.PAGESIZE]
    pixels[:] = image.reshape(-1)
    alone = Images.of([image])
    samples = samples_of([image])
    for size in (1, 4, 5, 64):
        views = centre_views(1.0, size, samples.widths, samples.heights)
        for cubic in (False, True):
            made = resample(alone._replace(pixels=pixels), views, size, cubic=cubic)
            if not (made == resample(alone, views, size, cubic=cubic)).all():
                raise SystemExit(f"{shape} to {size}: other pixels")
"""


def test_nothing_is_read_beyond_the_last_byte() -> None:
    """No byte after the last pixel is read, although pixels are read four bytes at a time."""
    command = [sys.executable, "-c", EDGE]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": SEARCH}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _threads() -> int:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123  a line of the kernel's
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def test_filters_that_share_a_place_are_made_again() -> None:
    """Sides that share a place among the kept filters replace each other, and pixels do not change."""
    sides = [10 + filters.MOST_FILTERS * times for times in range(3)]
    images = noise([(sides[i % 3], sides[i // 3 % 3]) for i in range(18)])
    corners = np.array([image.shape[:2] for image in images], np.float32)
    for views in (
        Views(np.zeros_like(corners), corners),
        centre_views(0.9, 48, corners[:, 1].astype(np.int32), corners[:, 0].astype(np.int32)),
    ):
        alone = [resample(Images.of([image]), views.only(slice(i, i + 1)), 48) for i, image in enumerate(images)]
        assert (torch.cat(alone) == resample(Images.of(images), views, 48)).all()


@pytest.mark.parametrize("size", [48, 96])
def test_the_graph_for_gpus_shows_the_same(size: int) -> None:
    """DALI's resize, which GPUs use, gives the same images for crops and centres, including borders.

    An exception are borders of images that become smaller: torch omits pixels beyond the edge, DALI repeats the last
    one.
    """
    images = noise([(64, 64), (80, 60), (33, 120), (90, 91)] * 5)
    samples = samples_of(images)
    for views in (train_views(CROP, 3, samples), centre_views(0.75, size, samples.widths, samples.heights)):
        ours = resample(Images.of(images), views, size).numpy().astype(int)
        inputs = (images, *dali.arguments(views, seen(views, samples.heights, samples.widths), size))
        made = graph_of(inputs)
        off = np.abs(ours - made)
        assert off[:, 2:-2, 2:-2].max() <= 1
        sides = np.abs(views.end - views.start)
        larger = (sides <= size).all(1)
        assert larger.any()
        assert off[larger].max() <= 1


def graph_of(inputs: tuple[object, ...], *, cubic: bool = False) -> Pixels:
    """Return the result of DALI's graph."""
    (made,) = dali.viewing(lambda: inputs, 20, 1, device=None, decode=None, cubic=cubic).run()
    pixels: Pixels = np.array(made.as_tensor())
    return pixels


def test_the_graph_for_gpus_has_the_same_cubic() -> None:
    """Inside, DALI's bicubic resize is exact to one level; a CPU rounds between rows and columns, as torch does.

    The two therefore differ at hard edges, by 0.2 levels on average for pictures.
    """
    shapes = [(64, 64), (80, 60), (33, 120), (90, 91)] * 5
    pictures = [enlarged(draw(one % 12, np.arange(1), one)[0], shape) for one, shape in enumerate(shapes)]
    samples = samples_of(pictures)
    views = train_views(CROP, 3, samples)
    inputs = (pictures, *dali.arguments(views, seen(views, samples.heights, samples.widths), 48))
    made = graph_of(inputs, cubic=True).astype(int)
    ours = resample(Images.of(pictures), views, 48, cubic=True).numpy().astype(int)
    assert np.abs(ours - made).mean() < 0.3
    for image, one, (top, start), (bottom, end) in zip(
        pictures, made, views.start.astype(int).tolist(), views.end.astype(int).tolist(), strict=True
    ):
        box = image[top:bottom, min(start, end) : max(start, end)].astype(np.float64)
        exact = interpolate(torch.from_numpy(box).permute(2, 0, 1)[None], (48, 48), mode="bicubic", antialias=True)
        wanted = exact[0].permute(1, 2, 0).numpy().clip(0, 255)
        off = np.abs(one - (wanted[:, ::-1] if start > end else wanted))
        assert off[4:-4, 4:-4].max() <= 1


def enlarged(picture: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return a drawn picture at another height and width."""
    return np.asarray(Image.fromarray(picture).resize(shape[::-1]))
