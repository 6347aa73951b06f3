"""Decoding only visible regions gives the pixels of the whole image."""

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headrace.train.input.augment.views import Crop, Samples, Views, centre_views, train_views
from headrace.train.input.decode import dali
from headrace.train.input.decode.dali import Decoder
from headrace.train.input.decode.regions import Regions, seen
from tests.train import pictures
from tests.train.pictures import Pixels, picture

OTHER_SAMPLINGS = {"4:1:1": "411", "4:4:0": "440"}  # which Pillow does not write
KINDS: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"subsampling": "4:2:0", "progressive": True},
    "restarts": {"subsampling": "4:2:0", "restart_marker_blocks": 3},
    "turned": {"subsampling": "4:2:0", "exif": pictures.exif(6)},
    "mirrored and turned": {"subsampling": "4:2:2", "exif": pictures.exif(5)},
}


def coloured(width: int, height: int, kind: str) -> bytes:
    """Return a JPEG whose colours differ from pixel to pixel, so that a wrong neighbour would be visible."""
    noise = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
    image, out = Image.fromarray(noise), io.BytesIO()
    if kind in OTHER_SAMPLINGS:
        return bytes(simplejpeg.encode_jpeg(noise, 90, colorsubsampling=OTHER_SAMPLINGS[kind]))
    if kind in ("L", "CMYK"):
        image.convert(kind).save(out, "JPEG", quality=90)
    else:
        image.save(out, "JPEG", quality=90, **KINDS[kind])
    return out.getvalue()


def decoded(jpegs: list[bytes], regions: Regions) -> list[Pixels]:
    """Return the regions of these files."""
    arrays = [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs]
    return [one.copy() for one in Decoder(len(jpegs), 1)(arrays, regions).arrays()]


def sides(jpegs: list[bytes]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the heights and widths of the upright images."""
    found = []
    for jpeg in jpegs:
        image = Image.open(io.BytesIO(jpeg))
        turned = image.getexif().get(0x0112, 1) > 4
        found.append(image.size if turned else image.size[::-1])
    heights, widths = np.array(found, np.int32).T
    return heights, widths


@pytest.mark.parametrize("kind", [*KINDS, *OTHER_SAMPLINGS, "L", "CMYK"])
@settings(deadline=None, max_examples=25)
@example(18, 7, 0)  # where the last column lies beside a block of its own
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**20))
def test_a_region_is_a_part_of_the_whole(kind: str, width: int, height: int, seed: int) -> None:
    """A region equals the part of the whole image, for any area, shape, place and chroma subsampling."""
    jpegs = [coloured(width, height, kind)] * 24
    heights, widths = sides(jpegs)
    samples = Samples(np.full(24, seed), np.arange(24), widths, heights)
    views = train_views(Crop((0.0001, 1.0), (0.02, 50.0), 0.5), 1, samples)
    width, wide = widths[0], np.abs(views.end - views.start)[:, 1]
    at_sides = Views(views.start.copy(), views.end.copy())
    at_sides.start[::3, 1], at_sides.end[::3, 1] = 0, wide[::3]
    at_sides.start[1::3, 1], at_sides.end[1::3, 1] = width - wide[1::3], width
    at_sides.start[:2, 1], at_sides.end[:2, 1] = (0, width - 1), (1, width)
    regions = seen(at_sides, heights, widths)
    whole = decoded(jpegs[:1], Regions.whole(heights[:1], widths[:1]))[0]
    for part, (top, start), (tall, wide) in zip(
        decoded(jpegs, regions), regions.start.tolist(), regions.sides.tolist(), strict=True
    ):
        assert (part == whole[top : top + tall, start : start + wide]).all()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**20))
def test_a_region_holds_its_view_and_hardly_more(width: int, height: int, seed: int) -> None:
    """A region contains its view, lies inside the image, and is at most a column wider than the view."""
    samples = Samples(np.full(50, seed), np.arange(50), np.full(50, width), np.full(50, height))
    views = train_views(Crop((0.01, 1.0), (0.1, 10.0), 0.5), 1, samples)
    regions = seen(views, samples.heights, samples.widths)
    moved = regions.moved(views)
    before, after = np.minimum(moved.start, moved.end), regions.sides - np.maximum(moved.start, moved.end)
    assert (before[:, 0] == 0).all()
    assert (after[:, 0] == 0).all()
    at_the_end = regions.start[:, 1] + regions.sides[:, 1] == width
    assert ((before[:, 1] == 0) | ((before[:, 1] == 1) & at_the_end)).all()
    assert ((after[:, 1] == 0) | ((after[:, 1] == 1) & (regions.start[:, 1] == 0))).all()
    assert (before + after <= 1).all()
    assert (regions.start + regions.sides <= (height, width)).all()


def test_images_resized_first_are_decoded_whole() -> None:
    """For Resize and CenterCrop, whole images are decoded, because pixels beside the square matter."""
    heights, widths = np.array([80, 33], np.int32), np.array([60, 120], np.int32)
    views = centre_views(0.875, 32, widths, heights)
    regions = seen(views, heights, widths)
    assert regions.start.tolist() == [[0, 0], [0, 0]]
    assert regions.sides.tolist() == [[80, 60], [33, 120]]


def test_a_cut_matters_where_it_is_seen() -> None:
    """In a truncated file, rows before the end are as usual, and a region that reaches beyond it is an error."""
    jpeg = picture(400, 400, subsampling="4:2:0")
    cut, top = jpeg[: len(jpeg) // 2], Regions(np.zeros((1, 2), np.int32), np.array([[32, 400]], np.int32))
    assert (decoded([cut], top)[0] == decoded([jpeg], top)[0]).all()
    with pytest.raises(RuntimeError):
        decoded([cut], Regions(np.array([[300, 0]], np.int32), np.array([[100, 400]], np.int32)))


def test_a_region_beyond_the_image_is_an_error() -> None:
    """A region outside the image is an error: it gives neither zeros nor other memory."""
    with pytest.raises(RuntimeError):
        decoded([picture(40, 40)], Regions(np.zeros((1, 2), np.int32), np.array([[41, 40]], np.int32)))


def test_the_graph_for_gpus_decodes_what_is_seen() -> None:
    """Views from files, which the graph decodes in part, equal views from decoded images."""
    jpegs = [coloured(*side, kind) for side in ((64, 64), (200, 50), (33, 120)) for kind in KINDS]
    heights, widths = sides(jpegs)
    samples = Samples(np.zeros(len(jpegs), np.int64), np.arange(len(jpegs)), widths, heights)
    files = [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs]
    images = decoded(jpegs, Regions.whole(heights, widths))
    for views in (train_views(Crop((0.1, 1.0), (0.5, 2.0), 0.5), 1, samples), centre_views(0.8, 48, widths, heights)):
        arguments = dali.arguments(views, seen(views, heights, widths), 48)
        made = []
        for shown, decode in ((files, "cpu"), (images, None)):
            inputs = (shown, *arguments)
            graph = dali.viewing(lambda inputs=inputs: inputs, len(jpegs), 2, device=None, decode=decode)  # type: ignore[misc]
            made.append(np.array(graph.run()[0].as_tensor()))
        assert (made[0] == made[1]).all()
