"""The only home of NVIDIA DALI: its graphs, which have no reader and no random operator.

All that varies from batch to batch arrives as an argument, so the pixels of a sample depend on its bytes and its view
alone, and one graph serves training and evaluation at any size.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn, types
from nvidia.dali.tensors import TensorCPU, TensorListCPU
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.input.augment.views import Views
from headrace.train.input.decode.arrays import Images, Jpegs
from headrace.train.input.decode.nvjpeg import refuse_without_nvjpeg
from headrace.train.input.decode.regions import Regions

AHEAD = 3  # batches that a graph on the CPU asks for before it returns the first
_ON_GPU: dict[str, Any] = {
    "jpeg_fancy_upsampling": True,  # nvJPEG's own default repeats chroma, libjpeg interpolates it
    "device_memory_padding": 1 << 20,  # bytes a thread, as the next; they grow at need
    "host_memory_padding": 1 << 20,
}
_VIEW = [types.INT32, types.INT32, types.FLOAT, types.FLOAT, types.FLOAT]


def decoding(source: Callable[[], Any], max_batch: int, threads: int) -> Pipeline:
    """On the CPU: a list of JPEGs from `source`, each uint8 (bytes,), becomes images uint8 (height, width, 3)."""
    pipeline = Pipeline(
        batch_size=max_batch, num_threads=threads, device_id=None, prefetch_queue_depth=AHEAD, exec_dynamic=True
    )
    with pipeline:
        jpegs = fn.external_source(lambda: listed(source()), batch=True, dtype=types.UINT8, ndim=1)
        pipeline.set_outputs(fn.decoders.image(jpegs, output_type=types.RGB))
    _build(pipeline)
    return pipeline


def _build(pipeline: Pipeline) -> None:
    """Build a graph for the CPU. Raises HeadraceError where that fails, before any image is seen: none is to blame."""
    try:
        pipeline.build()
    except RuntimeError as error:
        reason = (str(error).rpartition("encountered:")[2].strip() or type(error).__name__).splitlines()[0]
        raise HeadraceError(
            f"the image decoder cannot start on this machine now ({reason}), which is no image's fault. Raise what it "
            "lacks and start again: open files (`ulimit -n`), threads (`ulimit -u`) or memory"
        ) from error


def listed(arrays: Sequence[NDArray[np.uint8]]) -> Any:
    """Arrays as DALI's own list, not copied yet: given as arrays, it would ask of each one what it is."""
    make: Any = TensorListCPU  # whose stub does not know the last argument
    return make([TensorCPU(array) for array in arrays], contiguous=False)


def arrays(batch: Any) -> list[NDArray[np.uint8]]:
    """The images of a batch on the CPU, in DALI's memory, which it takes back for the next one."""
    if batch.is_dense_tensor():
        whole: NDArray[np.uint8] = np.asarray(batch.as_tensor())
        return list(whole)
    return [np.asarray(batch[row]) for row in range(len(batch))]


class Decoder:
    """Decodes a batch of JPEGs on the CPU: one thread is that of the caller, several are DALI's."""

    def __init__(self, max_batch: int, threads: int) -> None:
        self._pipeline = Pipeline(
            batch_size=max_batch,
            num_threads=threads,
            device_id=None,
            prefetch_queue_depth=1,
            exec_async=False,
            exec_pipelined=False,
        )
        with self._pipeline:
            jpegs = fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1, no_copy=True)
            start, sides = (
                fn.external_source(name=name, dtype=types.INT32, ndim=1, no_copy=True) for name in Regions._fields
            )
            self._pipeline.set_outputs(fn.decoders.image_slice(jpegs, start, sides, axes=[0, 1], output_type=types.RGB))
        _build(self._pipeline)

    def __call__(self, jpegs: Jpegs, regions: Regions) -> Images:
        """The regions of the images, in DALI's memory, which it takes back for the next batch.

        Raises RuntimeError where an image does not decode, as far as its region reaches, or is smaller than that.
        """
        self._pipeline.feed_input("jpegs", TensorListCPU(jpegs) if isinstance(jpegs, np.ndarray) else listed(jpegs))
        for name, corners in regions._asdict().items():
            self._pipeline.feed_input(name, TensorListCPU(corners))
        (decoded,) = self._pipeline.run()
        heights, widths = regions.sides.T.astype(np.int64)
        pixels = decoded.as_reshaped_tensor([int(3 * heights @ widths)])
        return Images.one_after_another(np.asarray(pixels), heights, widths)


def viewing(
    source: Callable[[], Any], max_batch: int, threads: int, *, device: int | None, decode: str | None
) -> Pipeline:
    """(images, *arguments(views, regions, size)) from `source` become views, uint8 (size, size, 3), on GPU `device`.

    `decode` says where JPEGs are decoded, "cpu" or "mixed" (nvJPEG on the GPU); None takes images that are decoded.
    Without a device all of it runs on the CPU, as tests do.
    """

    def together() -> tuple[Any, ...]:
        images, *others = source()
        return listed(images), *others

    pipeline = Pipeline(batch_size=max_batch, num_threads=threads, device_id=device, prefetch_queue_depth=2)
    with pipeline:
        images, first, sides, start, end, size = fn.external_source(
            together,
            num_outputs=1 + len(_VIEW),
            batch=True,
            dtype=[types.UINT8, *_VIEW],
            ndim=[1 if decode else 3] + len(_VIEW) * [1],
            layout=["" if decode else "HWC"] + len(_VIEW) * [""],
        )
        part: dict[str, Any] = {"start": first, "shape": sides, "axes": [0, 1]}
        if decode == "cpu":
            images = fn.decoders.image_slice(images, **part, output_type=types.RGB)
        elif decode is not None:
            images = fn.decoders.image(images, device=decode, output_type=types.RGB, **_ON_GPU)
        if device is not None and decode != "mixed":
            images = images.gpu()
        if decode != "cpu":
            images = fn.slice(images, **part)
        images = fn.resize(
            images, size=size, roi_start=start, roi_end=end, interp_type=types.INTERP_LINEAR, antialias=True
        )
        pipeline.set_outputs(images)
    return _built(pipeline, decode)


def decoding_alone(
    source: Callable[[], Any], max_batch: int, threads: int, *, device: int | None, decode: str, copy: bool
) -> Pipeline:
    """The first part of `viewing`, to be timed: images of `source` decoded whole, and with `copy` on the GPU.

    Without it they stay where `decode` makes them: in main memory for "cpu", on GPU `device` for "mixed".
    """
    alone = decode == "cpu" and not copy
    pipeline = Pipeline(max_batch, threads, device_id=None if alone else device, prefetch_queue_depth=2)
    with pipeline:
        jpegs = fn.external_source(lambda: listed(source()), batch=True, dtype=types.UINT8, ndim=1)
        images = fn.decoders.image(
            jpegs, device=decode, output_type=types.RGB, **(_ON_GPU if decode == "mixed" else {})
        )
        pipeline.set_outputs(images.gpu() if copy and decode == "cpu" else images)
    return _built(pipeline, decode)


def _built(pipeline: Pipeline, decode: str | None) -> Pipeline:
    pipeline.build()
    if decode == "mixed":
        refuse_without_nvjpeg()
    return pipeline


def copy(images: Any, made: Tensor, stream: Any) -> None:
    """Copy a dense batch of DALI's into a tensor of its shape, as work of this CUDA stream.

    The host waits for nothing: DALI takes its buffer back after the stream's copy (CopyToExternalImplGPU in
    dali/python/backend_impl.cc). A tensor shared by DLPack would end with a cudaDeviceSynchronize for each batch.
    """
    from nvidia.dali.plugin.pytorch import feed_ndarray  # noqa: PLC0415  the plugin loads much, and only a GPU needs it

    feed_ndarray(images, made, cuda_stream=stream)


def arguments(views: Views, regions: Regions, size: int) -> tuple[NDArray[Any], ...]:
    """What the graph `viewing` is told of n views: what to cut out, what to resize of it, and to which size.

    Corners and sides (n, 2), int32 and float32. A resize of a part sees the pixels around it, so what shall not be
    seen has to be cut off before.
    """
    moved = regions.moved(views)
    return regions.start, regions.sides, moved.start, moved.end, np.full(regions.start.shape, size, np.float32)
