import numpy as np
import pytest

from headrace.train.record.history import History
from headrace.train.record.page.classes import classes_of
from headrace.train.record.page.phases import phases
from headrace.train.record.page.settings import differences, environment_rows, flat
from headrace.train.record.predictions import Origin, Predictions


def predictions(labels: list[int], first: list[int], classes: int) -> Predictions:
    """Return predictions for these samples."""
    names = tuple(f"name {number}" for number in range(classes))
    count = len(labels)
    top = np.stack([np.array(first), (np.array(first) + 1) % classes], 1)
    chances = np.tile(np.array([0.6, 0.2], np.float32), (count, 1))
    origin = Origin("val", "5" * 64, "c" * 64, 1, False, tuple(f"n{number}" for number in range(classes)), names)
    keys = [str(number) for number in range(count)]
    return Predictions(origin, np.arange(count), keys, np.array(labels), np.ones(count), top, chances)


def test_classes_are_told_from_best_to_worst() -> None:
    """The table has recall, precision, the class it is confused with, and the most frequent confusions."""
    found = classes_of(predictions([0] * 4 + [1] * 4 + [2] * 4, [0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1], 3))
    assert [(row.name, row.recall, row.mistaken_for) for row in found.worst] == [("name 2", 0.0, "name 0")]
    assert [(row.name, row.recall, row.precision) for row in found.best] == [("name 0", 1.0, 0.5)]
    assert next((one.name, one.predicted, one.images) for one in found.confusions) == ("name 2", "name 0", 3)
    assert found.worst[0].precision == 0.0


def test_class_without_images_is_not_among_them() -> None:
    """A class without images is omitted, and a class that is never predicted has no precision."""
    found = classes_of(predictions([0, 0, 1, 1], [0, 0, 0, 0], 5))
    assert {row.name for row in (*found.best, *found.worst)} == {"name 0", "name 1"}
    assert found.worst[0].precision is None


@pytest.mark.parametrize("classes", [1, 2, 1000, 2500])
def test_any_number_of_classes_has_a_picture(classes: int) -> None:
    """The picture has a cell for each class, or for neighbouring classes if there are more than a thousand."""
    import base64
    import io

    from PIL import Image

    labels = list(range(classes)) * 2
    found = classes_of(predictions(labels, [*range(classes), *[0] * classes], classes))
    image = Image.open(io.BytesIO(base64.b64decode(found.picture))).convert("RGBA")
    cells = min(classes, 1000)
    assert (image.size, found.cells) == ((cells, cells), cells)
    pixels = np.asarray(image)
    last = pixels[-1, -1]
    assert last[3] > 0
    assert last[2] > last[0]  # right: blue
    if classes > 1:
        assert pixels[-1, 0, 3] > 0
        assert pixels[-1, 0, 0] > pixels[-1, 0, 2]  # wrong: orange
        assert pixels[0, -1, 3] == 0


def test_time_adds_up() -> None:
    """Each second belongs to one phase; a save during an epoch is not part of its training."""
    history = History()
    epoch = {"kind": "epoch", "epoch": 1, "step": 10, "seconds": 30.0, "train_seconds": 20.0, "stall_percent": 25.0}
    for row in (
        {"kind": "start", "step": 0, "seconds": 4.0},
        {"kind": "save", "step": 5, "seconds": 2.0},
        epoch,
        {"kind": "save", "step": 10, "seconds": 1.0},
        {"kind": "save", "step": 15, "seconds": 9.0},  # of an epoch that is not done
    ):
        history.add(row)
    found = {one.name: one.seconds for one in phases(history)}
    assert found == {"start": 4.0, "training": 13.0, "waiting for data": 5.0, "evaluation": 10.0, "saving": 3.0}
    assert sum(one.share for one in phases(history)) == pytest.approx(1.0)
    assert phases(History()) == []


def test_values_are_compared_in_words() -> None:
    """Only different values are listed; a missing value is "none"; descriptions of a recipe do not count."""
    one = flat({"about": {"purpose": "a"}, "train": {"epochs": 3, "until": None}, "augment": {"sizes": [[0.0, 64]]}})
    other = flat({"about": {"purpose": "b"}, "train": {"epochs": 4}, "augment": {"sizes": [[0.0, 64]]}})
    assert [(row.key, row.values) for row in differences([one, other])] == [("train.epochs", ["3", "4"])]
    assert one["augment.sizes"] == "[[0, 64]]"


def test_environment_is_one_table() -> None:
    """Versions are in the same table, and values of unexpected types do no harm."""
    assert environment_rows({"cores": 2, "versions": {"torch": "2.13"}}) == {"cores": "2", "version of torch": "2.13"}
    assert environment_rows({"versions": 5, "x": None}) == {"x": "none"}
