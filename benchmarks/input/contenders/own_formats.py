"""The contenders with formats of their own, made from the shards before anything is timed: ffcv, streaming, litData."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.input.contenders.task import (
    AREA,
    BATCH,
    FLIP,
    MEAN,
    RATIO,
    STD,
    THREADS,
    Contender,
    Given,
    jpegs,
    loaded,
    split,
)
from benchmarks.input.contenders.torch_loaders import Torchvision


class _Decoded:
    """Images as arrays, with their labels, for ffcv's writer."""

    def __init__(self, shards: Path) -> None:
        self._shards = shards
        self._split: Any = None

    def __len__(self) -> int:
        return len(split(self._shards))

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import numpy as np
        import simplejpeg

        self._split = self._split or split(self._shards)
        jpeg = self._split.jpegs(np.array([index]))[0].tobytes()
        return simplejpeg.decode_jpeg(jpeg), int(self._split.labels[index])


def write_ffcv(shards: Path, out: Path, *, mode: str) -> None:
    """Write ffcv's file. It takes only decoded images, so `jpg` encodes them again, with its default quality of 90."""
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    writer = DatasetWriter(str(out), {"image": RGBImageField(write_mode=mode), "label": IntField()}, num_workers=2)
    writer.from_indexed_dataset(_Decoded(shards))


def ffcv(given: Given) -> Iterator[Any]:
    """The loader of ffcv in random order, with its compiled pipeline."""
    import numpy as np
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage

    steps = [
        RandomResizedCropRGBImageDecoder((given.size, given.size), AREA, RATIO),
        RandomHorizontalFlip(FLIP),
        NormalizeImage(np.array(MEAN), np.array(STD), np.float32),
        ToTensor(),
        ToTorchImage(convert_back_int16=False),
    ]
    loader = Loader(
        str(given.prepared),
        batch_size=BATCH,
        num_workers=THREADS,
        order=OrderOption.RANDOM,
        os_cache=True,
        drop_last=True,
        pipelines={"image": steps, "label": None},
    )
    while True:
        for (images,) in loader:
            yield images


def write_mds(shards: Path, out: Path, size: int = 1 << 26) -> None:
    """Write mosaicml-streaming's shards of `size` bytes, by default 64 MiB, which is also the library's default."""
    from streaming import MDSWriter

    with MDSWriter(out=str(out), columns={"jpeg": "bytes", "label": "int"}, size_limit=size) as writer:
        for jpeg, label in jpegs(shards):
            writer.write({"jpeg": jpeg, "label": label})


def mosaicml(given: Given) -> Iterator[Any]:
    """StreamingDataset from a local folder, in torch's DataLoader."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Images(StreamingDataset):  # type: ignore[misc]  # the library is not installed where types are checked
        transform = Torchvision(given.size)

        def __getitem__(self, at: Any) -> tuple[Any, int]:
            sample = super().__getitem__(at)
            return self.transform(sample["jpeg"]), sample["label"]

    clean_stale_shared_memory()  # a process that was ended in the middle of an epoch may have left it
    return loaded(Images(local=str(given.prepared), shuffle=True, batch_size=BATCH))


def write_litdata(shards: Path, out: Path, size: int | str = "64MB") -> None:
    """Write litData's chunks of this size; workers read from a split that is opened once."""
    from benchmarks.litdata_chunks import write_chunks

    found = split(shards)
    write_chunks(partial(_litdata_samples, found), list(range(len(found))), out, THREADS, size)


def _litdata_samples(found: Any, ids: list[int]) -> Iterator[dict[str, Any]]:
    import numpy as np

    for jpeg, label in zip(found.jpegs(np.array(ids)), found.labels[ids].tolist(), strict=True):
        yield {"jpeg": jpeg.tobytes(), "label": label}


def litdata(given: Given) -> Iterator[Any]:
    """StreamingDataset and StreamingDataLoader of litData."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset

    torch.set_num_threads(1)
    transform = Torchvision(given.size)

    def sample(found: dict[str, Any]) -> tuple[Any, int]:
        return transform(found["jpeg"]), found["label"]

    dataset = StreamingDataset(str(given.prepared), shuffle=True, drop_last=True, transform=sample)
    loader = StreamingDataLoader(dataset, batch_size=BATCH, num_workers=THREADS, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield images


def _ffcv(mode: str, name: str) -> Contender:
    write: Callable[[Path, Path], None] = partial(write_ffcv, mode=mode)
    return Contender(ffcv, {"ffcv": "ffcv"}, f"ffcv's loader, from a file of its own with {name}", write)


_TORCHVISION = {"torchvision": "torchvision", "pillow": "PIL"}
CONTENDERS = {
    "ffcv-jpeg": _ffcv("jpg", "JPEGs, encoded again at its default quality of 90"),
    "ffcv-raw": _ffcv("raw", "decoded pixels, 1.25 GB"),
    "mosaicml-streaming": Contender(
        mosaicml,
        {**_TORCHVISION, "mosaicml-streaming": "streaming"},
        "its shards of the same JPEGs, torchvision.transforms on Pillow",
        write_mds,
    ),
    "litdata": Contender(
        litdata,
        {**_TORCHVISION, "litdata": "litdata"},
        "its chunks of the same JPEGs, torchvision.transforms on Pillow",
        write_litdata,
    ),
}
