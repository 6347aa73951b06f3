"""Torchvision's operators on Pillow images, written with Pillow: the reference for Headrace's pixels.

torchvision's functions for Pillow images are thin: each operator here is the Pillow call that torchvision makes, with
the same arguments. `values` are those of `train/input/augment/operation.py`, so both sides use the same numbers.
"""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from headrace.train.input.augment.operation import Change, Op

Values = Sequence[float]
Pixels = NDArray[np.uint8]


def resized(image: Image.Image, box: tuple[float, float, float, float], size: int, *, mirror: bool) -> Image.Image:
    """`resized_crop` and `hflip`: cut out the box (left, top, right, bottom), and resize it to `size`, antialiased."""
    left, top, right, bottom = map(int, box)
    square = image.crop((left, top, right, bottom)).resize((size, size), Image.Resampling.BILINEAR)
    return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else square


def for_evaluation(image: Image.Image, short: int, size: int) -> Image.Image:
    """`Resize(short)` of the shorter side, antialiased, then `CenterCrop(size)`."""
    width, height = image.size
    new = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    image = image.resize(new, Image.Resampling.BILINEAR)
    left, top = round((new[0] - size) / 2), round((new[1] - size) / 2)
    return image.crop((left, top, left + size, top + size))


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[[Image.Image, Values], Image.Image]:
    return lambda image, values: kind(image).enhance(values[0])


def _hue(image: Image.Image, values: Values) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shifted = (np.asarray(hue).astype(int) + int(values[0])) % 256
    return Image.merge("HSV", (Image.fromarray(shifted.astype(np.uint8)), saturation, value)).convert("RGB")


def _warp(image: Image.Image, values: Values) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, tuple(values), Image.Resampling.NEAREST)


def _erase(image: Image.Image, values: Values) -> Image.Image:
    top, left, bottom, right, *colour = map(int, values)
    image = image.copy()
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=tuple(colour))
    return image


OPERATORS: dict[Op, Callable[[Image.Image, Values], Image.Image]] = {
    Op.BRIGHTNESS: _enhance(ImageEnhance.Brightness),
    Op.CONTRAST: _enhance(ImageEnhance.Contrast),
    Op.SATURATION: _enhance(ImageEnhance.Color),
    Op.SHARPNESS: _enhance(ImageEnhance.Sharpness),
    Op.HUE: _hue,
    Op.POSTERIZE: lambda image, values: ImageOps.posterize(image, int(values[0])),
    Op.SOLARIZE: lambda image, values: ImageOps.solarize(image, ceil(values[0])),
    Op.AUTOCONTRAST: lambda image, _: ImageOps.autocontrast(image),
    Op.EQUALIZE: lambda image, _: ImageOps.equalize(image),
    Op.WARP: _warp,
    Op.ERASE: _erase,
}


def changed_by_pillow(images: Pixels, changes: Sequence[Change]) -> Pixels:
    """The images (b, s, s, 3) after all changes in order, made with Pillow."""
    done = [Image.fromarray(image) for image in images]
    for change in changes:
        for row, values in zip(change.rows.tolist(), change.values.tolist(), strict=True):
            done[row] = OPERATORS[change.op](done[row], values)
    return np.stack([np.asarray(image) for image in done])
