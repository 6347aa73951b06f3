"""Makes loggers from their names, and checks that the packages they need are installed."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from headrace.shards.errors import UsageError
from headrace.train.record.aside import Aside
from headrace.train.record.callback import Callback
from headrace.train.record.loggers.mlflow import MlflowLogger
from headrace.train.record.loggers.tensorboard import TensorBoardLogger
from headrace.train.record.loggers.wandb import WandbLogger

_LOGGERS: dict[str, Callable[[Callable[[str], None]], Callback]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}


def refuse_missing(names: Sequence[str]) -> None:
    """Raise UsageError if the package of a named logger is not installed."""
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        raise UsageError(
            f"runtime.loggers: {', '.join(missing)}: not installed. Install with "
            f"`pip install 'headrace[{','.join(missing)}]'`, or name other loggers with --set runtime.loggers=[...]"
        )


def _is_installed(name: str) -> bool:
    """Return whether a package is installed; a mere folder of that name, which a logger may write, does not count."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def loggers_of(names: Sequence[str], warn: Callable[[str], None]) -> list[Aside]:
    """Make the loggers of these names, each in a separate thread; `warn` receives their errors."""
    return [Aside(_LOGGERS[name](warn), name, warn) for name in dict.fromkeys(names)]
