"""`headrace eval` on this rank, from its process to the result."""

from pathlib import Path

from headrace.train.evaluate.measure import Measured, Measurement
from headrace.train.run.process import entered, round_products


def evaluate(path: Path, shards: Path, settings: tuple[str, ...]) -> Measured:
    """Measure the checkpoint at `path` on the validation split of the set at `shards`; ranks share its batches.

    Raises what `Measurement` raises, and UsageError when the device that is asked for is not there.
    """
    measurement = Measurement.of(path, shards, settings)
    with entered(measurement.recipe.runtime) as place:
        numerics = measurement.numerics(place.accelerator)
        round_products(numerics, place.accelerator)
        return measurement.take(place, numerics)
