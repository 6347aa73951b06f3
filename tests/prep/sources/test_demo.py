import hashlib
import time
from pathlib import Path

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.images.drawing import CLASSES, SIDE, draw
from headrace.prep.sources.demo import demo_source
from headrace.prep.sources.detect import open_files, open_source
from tests.prep.sources.gathered import splits_of
from tests.prep.test_commands import start
from tests.shards.test_store import pid_in

GOLDEN = "5441ba073f7ca206d8dfced9ab9313787ea392532a9ee18358bc1509f849bbd9"


def test_same_bytes_always(tmp_path: Path) -> None:
    """Two demos drawn from one seed have equal bytes, and another seed gives other images."""
    one, same = (demo_source(tmp_path / name, 0, say=print, train=2, val=1).read_bytes() for name in ("a", "b"))
    assert one == same
    assert demo_source(tmp_path / "c", 1, say=print, train=2, val=1).read_bytes() != one


def test_pixels_are_the_same_for_ever() -> None:
    """Golden value: another machine or library version must draw the same pixels."""
    pixels = np.stack([draw(label, np.arange(3), 0) for label in range(len(CLASSES))])
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == GOLDEN


def test_image_is_a_function_of_its_id() -> None:
    """An image does not depend on the images drawn with it."""
    assert (draw(3, np.arange(10), 0)[7] == draw(3, np.array([7]), 0)[0]).all()


def test_drawn_once(tmp_path: Path) -> None:
    """A second call finds the zip; a zip with other numbers is drawn again."""
    said: list[str] = []
    for train in (2, 2, 3):
        path = demo_source(tmp_path / "a", 0, say=said.append, train=train, val=1)
    assert len(said) == 2
    assert len(splits_of(open_source(open_files(path, tmp_path), Options()))["train"].labels) == 3 * len(CLASSES)


def test_killed_drawing_leaves_nothing_after_the_next(tmp_path: Path) -> None:
    """The unfinished zip of a demo that was killed is removed by the next demo."""
    process = start("prep", "--demo", tmp_path / "demo")
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.glob("demo.source.zip.*")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert [pid_in(path, tmp_path / "demo.source.zip") for path in tmp_path.iterdir()] == [process.pid]
    (tmp_path / "demo.source.zip.notes.partial").write_bytes(b"mine")
    demo_source(tmp_path / "demo", 0, say=print, train=1, val=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.source.zip", "demo.source.zip.notes.partial"]


def test_classes_differ_in_shape_texture_and_colour() -> None:
    """There are at least ten classes; no two share shape or colour, and textures are spread over them."""
    shapes, textures, colours = zip(*CLASSES, strict=True)
    assert len(set(shapes)) == len(set(colours)) == len(CLASSES) >= 10
    assert min(textures.count(one) for one in set(textures)) >= 3


def test_task_is_neither_trivial_nor_hopeless() -> None:
    """The nearest class mean is well above chance and far from perfect, so that training shows progress."""
    ids = np.arange(60)
    images = np.stack([draw(label, ids, 0) for label in range(len(CLASSES))]).astype(np.float64)
    small = images.reshape(len(CLASSES), len(ids), 16, SIDE // 16, 16, SIDE // 16, 3).mean((3, 5))
    flat = small.reshape(len(CLASSES), len(ids), -1)
    means = flat[:, :40].mean(1)
    distances = ((flat[:, 40:, None] - means) ** 2).sum(-1)
    accuracy = (distances.argmin(-1) == np.arange(len(CLASSES))[:, None]).mean()
    assert 1.5 / len(CLASSES) < accuracy < 0.8
