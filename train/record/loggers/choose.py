"""From names to loggers, and whether what they need is installed."""

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
    """Raise UsageError where a logger is named whose package is not installed."""
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        raise UsageError(
            f"runtime.loggers: {', '.join(missing)}: not installed. "
            f"`pip install 'headrace[{','.join(missing)}]'`, or leave it out with --set runtime.loggers=[...]"
        )


def _is_installed(name: str) -> bool:
    """Whether the package is there; a folder of that name, as a logger may have left one, is no package."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def loggers_of(names: Sequence[str], warn: Callable[[str], None]) -> list[Aside]:
    """The loggers of these names, each aside of the run; `warn` is told what went wrong with one."""
    return [Aside(_LOGGERS[name](warn), name, warn) for name in dict.fromkeys(names)]
