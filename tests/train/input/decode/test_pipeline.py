import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from headrace.shards.errors import DataError
from headrace.shards.shardset import ShardSet, Split
from headrace.train.input.augment.views import Views
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan, ValidationPlans
from tests.train import pictures
from tests.train.pictures import by_sample, evaluated, opened, picture, pipeline, split_of, training


@pytest.fixture
def split(tiny_set: Path) -> Split:
    """Return the 480 training samples of the tiny set."""
    return ShardSet.open(tiny_set).split("train")


def test_pixels_belong_to_the_sample(split: Split) -> None:
    """Pixels of a (sample, epoch) have the same bits in any batch, order, number of threads, and after a restart.

    The second stream has other groups in reverse order, begins in the middle, and crosses into the next epoch.
    """
    plain = by_sample(pipeline(split), training(split).stream(0, 12, range(3)))
    assert set(plain) >= {(0, one) for one in range(480)}
    others = training(split, batch=70, group=7)
    restarted = by_sample(pipeline(split, batch=7, threads=2), others.stream(3, 9, range(9, -1, -1)))
    common = plain.keys() & restarted.keys()
    assert len(common) > 300
    assert all((plain[key] == restarted[key]).all() for key in common)


def test_epochs_differ(split: Split) -> None:
    """In another epoch a sample has another view, so the test above does not compare whole images."""
    seen = by_sample(pipeline(split), training(split).stream(0, 20, range(3)))
    assert np.mean([(seen[0, one] == seen[1, one]).all() for one in range(480)]) < 0.02


def test_images_stay_as_they_were(split: Split) -> None:
    """A kept image does not change while later batches are made, because it shares no buffer with them."""
    kept, copies = [], []
    for _, images in pipeline(split, threads=2).run(training(split).stream(0, 10, range(3))):
        kept.append(images)
        copies.append(images.clone())
    assert len(kept) == 30
    assert all((one == copy).all() for one, copy in zip(kept, copies, strict=True))


def test_mirrored_view_is_the_mirror(split: Split) -> None:
    """A mirrored view is the mirror image of the plain one, up to one grey level if rounding ties."""
    plain = by_sample(pipeline(split), training(split, flip=0.0).stream(0, 3, range(3)))
    mirrored = by_sample(pipeline(split), training(split, flip=1.0).stream(0, 3, range(3)))
    for key, image in plain.items():
        assert np.abs(image[:, ::-1].astype(int) - mirrored[key]).max() <= 1
        assert (image != mirrored[key]).any()


def test_whole_image_at_its_own_size_is_the_decoded_image(tiny_set: Path) -> None:
    """Without crop and resize, the pixels equal libjpeg-turbo's bit for bit."""
    split = ShardSet.open(tiny_set).split("val")
    decoded = [simplejpeg.decode_jpeg(jpeg.tobytes(), "RGB") for jpeg in split.jpegs(np.arange(len(split)))]
    assert (evaluated(split, size=64, fraction=1.0) == np.stack(decoded)).all()


@pytest.mark.parametrize(("size", "fraction"), [(32, 1.0), (96, 1.0), (32, 0.875), (160, 0.75)])
def test_evaluation_view_is_pils(tiny_set: Path, size: int, fraction: float) -> None:
    """The central square differs by at most 1 grey level from torchvision's Resize and CenterCrop on PIL images."""
    split = ShardSet.open(tiny_set).split("val")
    for image, jpeg in zip(
        evaluated(split, size=size, fraction=fraction), split.jpegs(np.arange(len(split))), strict=True
    ):
        wanted = central(opened(jpeg), round(size / fraction), size)
        off = np.abs(image.astype(int) - wanted)
        assert off.max() <= 1
        assert off.mean() < 0.3


def central(image: Image.Image, short: int, size: int) -> pictures.Pixels:
    """Return Resize(short) and CenterCrop(size) as torchvision computes them with PIL."""
    width, height = (int(short * side / min(image.size)) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_views_are_of_the_upright_image(orientation: int, tmp_path: Path) -> None:
    """Crops of an image with an EXIF orientation are taken after turning it, as PIL does."""
    jpeg = picture(150, 100, exif=pictures.exif(orientation))
    split = split_of([jpeg], tmp_path)
    upright = ImageOps.exif_transpose(opened_with_exif(jpeg)).convert("RGB")
    assert (int(split.widths[0]), int(split.heights[0])) == upright.size
    views = Views(np.array([[10, 20]], np.float32), np.array([[90, 85]], np.float32))
    zeros = np.zeros(1, np.int64)
    plan = Plan(0, 0, zeros, zeros, Wanted(zeros, views, 64))
    ((_, images),) = pipeline(split).run(iter([plan]))
    wanted = upright.crop((20, 10, 85, 90)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(images[0].numpy().astype(int) - np.asarray(wanted)).max() <= 3


def opened_with_exif(jpeg: bytes) -> Image.Image:
    """Return a JPEG with its EXIF data, which converting would drop."""
    return Image.open(io.BytesIO(jpeg))


def test_sizes_mix_in_a_batch(tmp_path: Path) -> None:
    """Images of different shapes in a batch each give their own central square."""
    split = split_of([picture(width, height) for width, height in [(64, 64), (200, 50), (33, 120), (7, 5)]], tmp_path)
    images = evaluated(split, size=32, fraction=1.0)
    for one, jpeg in enumerate(split.jpegs(np.arange(4))):
        assert np.abs(images[one].astype(int) - central(opened(jpeg), 32, 32)).max() <= 3


def test_runs_follow_one_another_at_any_size(split: Split) -> None:
    """A pipeline serves several runs, each at its own size, also a run without batches."""
    pipe = pipeline(split, batch=100)
    for size in (32, 64, 0, 32):
        plans = ValidationPlans(split, 100, 1.0, size or 64)
        batches = [
            (plan.group, tuple(images.shape)) for plan, images in pipe.run(plans.stream(range(5 if size else 0)))
        ]
        assert batches == [(k, (100 if k < 4 else 80, size, size, 3)) for k in range(5 if size else 0)]


def test_changed_byte_names_the_sample(tiny_set: Path, tmp_path: Path) -> None:
    """A flipped bit in a tar ends the run as damaged data, with shard, key, and what to do."""
    folder = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    split = ShardSet.open(folder).split("train")
    with (folder / "train-000001.tar").open("r+b") as tar:
        tar.seek(700)
        byte = tar.read(1)[0]
        tar.seek(700)
        tar.write(bytes([byte ^ 4]))
    with pytest.raises(DataError, match=r"train-000001\.tar, key 000000096 .*CRC-32.*headrace verify"):
        list(pipeline(split).run(ValidationPlans(split, 16, 1.0, 32).stream(range(30))))


def test_image_that_does_not_decode_is_named(split: Split, tmp_path: Path) -> None:
    """The error has the image's shard, key and source, although DALI's error names no sample."""
    pictures.spoiled(split, 37, lambda jpeg: jpeg[:300], tmp_path)
    with pytest.raises(DataError, match=r"train-000000\.tar, key 000000037 \(source train/.*cannot be decoded"):
        list(pipeline(split).run(ValidationPlans(split, 16, 1.0, 32).stream(range(30))))


def test_image_of_another_size_is_named(split: Split, tmp_path: Path) -> None:
    """An image smaller than in the index is an error before any pixel outside it is read."""
    pictures.spoiled(split, 37, lambda _: np.frombuffer(picture(32, 128), np.uint8), tmp_path)
    with pytest.raises(DataError, match=r"key 000000037 .*decodes to \(128, 32, 3\), but the index says \(64, 64, 3\)"):
        list(pipeline(split).run(ValidationPlans(split, 16, 1.0, 32).stream(range(30))))


def test_unfinished_run_is_the_last(split: Split) -> None:
    """After an unfinished run no second run may begin, because it could get batches of the first."""
    pipe, plans = pipeline(split), ValidationPlans(split, 16, 1.0, 32)
    next(pipe.run(plans.stream(range(4))))
    with pytest.raises(RuntimeError, match="did not finish"):
        next(pipe.run(plans.stream(range(4))))
