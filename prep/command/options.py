"""What a user may choose about a shard set. Equal options and an equal source give equal bytes."""

from dataclasses import asdict, dataclass

from headrace.shards.errors import UsageError
from headrace.shards.manifest import Scalar

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Options:
    """The choices that decide about bytes; the number of workers is not among them."""

    seed: int = 0
    samples_per_shard: int | None = None  # None: as `shard_size` says
    shard_size: int = 32  # megabytes, about; larger where that would give more than plan.MAX_SHARDS
    classes: int | None = None  # None: all
    per_class: int | None = None  # None: all
    val_fraction: float | None = None  # share of every class for validation, where the source has no such split
    on_bad: str = "error"
    max_side: int | None = None  # pixels; larger images are made smaller
    quality: int = 95  # of the JPEGs that are made here; those of the source are kept as they are

    def __post_init__(self) -> None:
        for name in ("samples_per_shard", "shard_size", "classes", "per_class", "max_side"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
        if self.val_fraction is not None and not 0 <= self.val_fraction < 1:
            raise UsageError(f"--val-fraction {self.val_fraction}: a number from 0 to below 1 is needed")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: a number from 1 to 100 is needed")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed {self.seed}: a number from 0 to 2**63 - 1 is needed")

    def record(self) -> dict[str, Scalar]:
        """The options as the manifest keeps them."""
        return asdict(self)
