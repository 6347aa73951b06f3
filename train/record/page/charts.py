"""Makes the charts on a page: of one run, or of several runs with their curves in the same frames."""

from collections.abc import Callable, Sequence

from headrace.train.record.history import History, Row, number
from headrace.train.record.page.curves import Chart, Point, Series
from headrace.train.record.page.facts import Facts

_COLUMNS = {  # of an epoch: title, unit
    "validation_accuracy": ("Validation accuracy", "%"),
    "validation_loss": ("Validation loss", ""),
    "train_accuracy": ("Training accuracy", "%"),
    "train_loss": ("Training loss", ""),
    "lr": ("Learning rate", ""),
    "images_per_second": ("Images a second in training", "images/s"),
    "stall_percent": ("Time that the step waited for data", "%"),
}


def charts_of(facts: Facts) -> list[Chart]:
    """Return the charts of one run, with training and validation in the same frame."""
    history = facts.history
    by_epoch, by_step = _by_epoch(history), _by_step(facts)
    charts = [
        Chart(
            "Accuracy",
            "%",
            [
                Series("validation", by_epoch("validation_accuracy"), 1),
                Series("training", by_epoch("train_accuracy"), 0),
            ],
        ),
        Chart(
            "Loss",
            "",
            [Series("validation", by_epoch("validation_loss"), 1), Series("training", by_step(1), 0)],
        ),
        Chart("Learning rate", "", [Series("learning rate", by_step(2), 0)]),
        _alone(by_epoch, "images_per_second"),
        _alone(by_epoch, "stall_percent"),
    ]
    return [chart for chart in charts if chart.drawn]


def comparing_charts(runs: Sequence[Facts]) -> list[Chart]:
    """Return the charts that compare several runs, with a curve for each run."""
    charts = []
    for column, (title, unit) in _COLUMNS.items():
        curves = [Series(one.name, _by_epoch(one.history)(column), place) for place, one in enumerate(runs)]
        charts.append(Chart(title, unit, curves))
    return [chart for chart in charts if chart.drawn]


def _alone(by_epoch: Callable[[str], list[Point]], column: str) -> Chart:
    title, unit = _COLUMNS[column]
    return Chart(title, unit, [Series(title.lower(), by_epoch(column), 0)])


def _by_epoch(history: History) -> Callable[[str], list[Point]]:
    def points(column: str) -> list[Point]:
        known = [(number(row, "epoch"), number(row, column)) for row in history.epochs]
        return [(epoch, value) for epoch, value in known if epoch is not None and value is not None]

    return points


def _by_step(facts: Facts) -> Callable[[int], list[Point]]:
    """Return a function from a column number of `History.steps` to the points of its curve, with x in epochs.

    There are no points if the length of an epoch is unknown.
    """
    length = updates_an_epoch(facts)

    def points(column: int) -> list[Point]:
        return [(row[0] / length, float(row[column])) for row in facts.history.steps] if length else []

    return points


def updates_an_epoch(facts: Facts) -> float:
    """Return the number of updates in an epoch; 0 if that number is unknown."""
    if facts.about.steps and facts.about.epochs:
        return facts.about.steps / facts.about.epochs
    rows: list[Row] = facts.history.epochs
    last = number(rows[-1], "epoch") if rows else None
    return float(rows[-1]["step"]) / last if last else 0.0
