"""Every operator gives Pillow's bytes, for any batch, any row of it and any device."""

import numpy as np
import pytest
import torch

from benchmarks.input.parity import pillow
from headrace.shards.draws import Stream, uniforms
from headrace.train.input.augment.operation import Change, Op
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.policy import draw_changes
from headrace.train.input.augment.warp import inverse_matrix
from headrace.train.machine.device import Accelerator
from tests.train.input.augment.test_policy import EVERYTHING, samples
from tests.train.pictures import CPU, Pixels

SIDE, COUNT = 48, 60


def images() -> Pixels:
    """Return noise, smooth pictures of few and many values, a picture of two values, and pictures of one value."""
    noise = (256 * uniforms(1, Stream.PREP, np.arange(COUNT), count=SIDE * SIDE * 3)).reshape(COUNT, SIDE, SIDE, 3)
    x, y = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    smooth = np.stack([x, y, (x + y) / 2 * (1 - x)], -1)
    span = np.linspace(3, 255, COUNT)[:, None, None, None]
    found = np.where(np.arange(COUNT)[:, None, None, None] % 2, noise, 20 + (smooth * span) % 230).astype(np.uint8)
    found[0], found[1], found[2] = 7, 255, 0
    found[3] = np.where(noise[3] < 128, 0, 255)
    found[4, :, : SIDE // 2] = 9
    found[5] = noise[5, ..., :1].astype(np.uint8) // 64 + 100  # grey, of four values
    return found


def numbers(op: Op) -> np.ndarray:
    """Return values for every image that cover the operator's range, including its ends."""
    span = np.linspace(0, 1, COUNT)[:, None]
    if op is Op.WARP:
        turn = np.linspace(-180, 180, COUNT)
        return inverse_matrix(
            SIDE / 2, angle=turn, translate=(turn // 20, 5), scale=1.2 + turn / 300, shear=(turn / 5, 3)
        )
    if op is Op.ERASE:
        edges = np.floor(uniforms(0, Stream.ERASE, np.arange(COUNT), count=4) * SIDE)
        high, wide = np.sort(edges[:, :2]), np.sort(edges[:, 2:])
        colour = np.tile([1, 2, 3], (COUNT, 1))
        return np.stack([high[:, 0], wide[:, 0], high[:, 1] + 1, wide[:, 1] + 1, *colour.T], 1)
    if op in (Op.AUTOCONTRAST, Op.EQUALIZE):
        return np.empty((COUNT, 0))
    if op in (Op.HUE, Op.POSTERIZE):
        return np.rint(span * 255) if op is Op.HUE else np.rint(1 + span * 7)
    return span * (255 if op is Op.SOLARIZE else 2)


def ours(pixels: Pixels, changes: tuple[Change, ...], accelerator: Accelerator = CPU) -> Pixels:
    """Return the images after the changes, computed by our operators."""
    done = changed(accelerator.upload(pixels), changes, accelerator)
    accelerator.synchronize()
    return done.cpu().numpy()


@pytest.mark.parametrize("op", Op)
def test_operator_gives_pillows_bytes(op: Op) -> None:
    """For all of its values the operator's result equals Pillow's bit for bit, and differs from the input."""
    pixels, change = images(), Change(op, np.arange(COUNT), numbers(op))
    assert (ours(pixels, (change,)) == pillow.changed_by_pillow(pixels, (change,))).all()
    assert (ours(pixels, (change,)) != pixels).any()


def test_pure_scale_is_nearly_pillows() -> None:
    """Pillow rounds a matrix that only scales differently: fewer than 1 in 1,000 pixels differ."""
    pixels, matrix = images(), inverse_matrix(SIDE / 2, scale=np.linspace(0.5, 2, COUNT))
    change = Change(Op.WARP, np.arange(COUNT), matrix)
    assert (ours(pixels, (change,)) != pillow.changed_by_pillow(pixels, (change,))).mean() < 0.001


@pytest.mark.parametrize("op", [Op.HUE, Op.SATURATION, Op.CONTRAST])
def test_colours_are_pillows(op: Op) -> None:
    """For every 61st of all colours, the result is Pillow's, with the same float and double arithmetic and rounding."""
    colours = np.arange(0, 2**24, 61)[: 512 * 512]
    pixels = np.stack([colours >> 16, colours >> 8, colours], -1).astype(np.uint8).reshape(1, 512, 512, 3)
    for value in (0.37, 1.61) if op is not Op.HUE else (1, 100, 201):
        change = Change(op, np.array([0]), np.array([[value]]))
        assert (ours(pixels, (change,)) == pillow.changed_by_pillow(pixels, (change,))).all()


def test_all_changes_together_are_pillows() -> None:
    """A whole policy, drawn as in training, gives the bytes of the same operations in Pillow in the same order."""
    pixels = images()
    changes = draw_changes(EVERYTHING, 5, samples(COUNT), SIDE)
    assert {change.op for change in changes} == set(Op)
    assert (ours(pixels, changes) == pillow.changed_by_pillow(pixels, changes)).all()


def test_pixels_do_not_depend_on_the_batch() -> None:
    """An image has the same bytes alone and in a batch."""
    pixels = images()
    together = ours(pixels, draw_changes(EVERYTHING, 5, samples(COUNT), SIDE))
    for row in range(0, COUNT, 7):
        one = slice(row, row + 1)
        alone = ours(pixels[one], draw_changes(EVERYTHING, 5, samples(COUNT).only(one), SIDE))
        assert (alone[0] == together[row]).all()


def test_threads_of_torch_change_nothing() -> None:
    """With one thread and with three, the bytes are the same."""
    pixels, changes = images(), draw_changes(EVERYTHING, 5, samples(COUNT), SIDE)
    alone, before = ours(pixels, changes), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert (ours(pixels, changes) == alone).all()
    finally:
        torch.set_num_threads(before)


def test_given_images_stay_as_they_are() -> None:
    """The input is not changed, because it may be in a buffer of the pipeline. Without changes it is returned."""
    pixels = torch.from_numpy(images())
    before = pixels.clone()
    after = changed(pixels, draw_changes(EVERYTHING, 5, samples(COUNT), SIDE), CPU)
    assert torch.equal(pixels, before)
    assert not torch.equal(pixels, after)
    assert changed(pixels, (), CPU) is pixels


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("op", Op)
def test_gpu_gives_the_same_bytes(op: Op) -> None:
    """On a GPU, each operator's result equals the CPU's bit for bit."""
    pixels, change = images(), Change(op, np.arange(COUNT), numbers(op))
    assert (ours(pixels, (change,), Accelerator(0)) == ours(pixels, (change,))).all()
