"""What can be refused before ranks are started is refused here, once and not by every rank."""

from train.accelerator import Accelerator
from train.request import Request
from train.setup import resolve
from train.weights import first_weights


def preflight(request: Request, processes: int) -> None:
    """Check a request that `processes` ranks of this machine will carry out; weights are downloaded here once.

    Raises what `train.setup.resolve` raises, UsageError if the device is not there for so many processes, and the
    errors of `train.weights.first_weights`.
    """
    setup = resolve(request, processes)
    Accelerator.look().choose(setup.recipe.runtime.device, processes)
    if setup.resumed is None:
        first_weights(setup.recipe.model.name, setup.recipe.model.init, request.weights)
