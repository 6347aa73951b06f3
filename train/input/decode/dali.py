"""Builds graphs of NVIDIA DALI; they contain neither a reader nor random operators.

Only this module uses DALI. Everything that varies between batches is an input of the graph. A sample's pixels therefore
depend only on the sample's bytes and view. One graph is enough for training and for evaluation, at any image size.
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

AHEAD = 3  # batches that a CPU graph requests before it returns the first
_ON_GPU: dict[str, Any] = {
    "jpeg_fancy_upsampling": True,  # nvJPEG's default repeats chroma, libjpeg interpolates it
    "device_memory_padding": 1 << 20,  # bytes per thread, like the next value; both grow as needed
    "host_memory_padding": 1 << 20,
}
_VIEW = [types.INT32, types.INT32, types.FLOAT, types.FLOAT, types.FLOAT]


def decoding(source: Callable[[], Any], max_batch: int, threads: int) -> Pipeline:
    """Return a CPU graph that decodes lists of JPEGs from `source`, uint8 (bytes,), to uint8 (height, width, 3)."""
    pipeline = Pipeline(
        batch_size=max_batch, num_threads=threads, device_id=None, prefetch_queue_depth=AHEAD, exec_dynamic=True
    )
    with pipeline:
        jpegs = fn.external_source(lambda: listed(source()), batch=True, dtype=types.UINT8, ndim=1)
        pipeline.set_outputs(fn.decoders.image(jpegs, output_type=types.RGB))
    _build(pipeline)
    return pipeline


def _build(pipeline: Pipeline) -> None:
    """Build a graph for the CPU. Raises HeadraceError if the graph cannot be built.

    No image can be the cause of this error, because none has been read yet.
    """
    try:
        pipeline.build()
    except RuntimeError as error:
        reason = (str(error).rpartition("encountered:")[2].strip() or type(error).__name__).splitlines()[0]
        raise HeadraceError(
            f"DALI cannot start its image decoder ({reason}); no image is at fault. Raise the limit on open files "
            "(`ulimit -n`), on threads (`ulimit -u`) or on memory, and start again"
        ) from error


def listed(arrays: Sequence[NDArray[np.uint8]]) -> Any:
    """Return arrays as a list of DALI's type, without a copy.

    A Python list would be slower, because DALI would inspect each array in the list.
    """
    make: Any = TensorListCPU  # the stub lacks the last argument
    return make([TensorCPU(array) for array in arrays], contiguous=False)


def arrays(batch: Any) -> list[NDArray[np.uint8]]:
    """Return the images of a batch that is on the CPU, as arrays in memory that DALI reuses for the next batch."""
    if batch.is_dense_tensor():
        whole: NDArray[np.uint8] = np.asarray(batch.as_tensor())
        return list(whole)
    return [np.asarray(batch[row]) for row in range(len(batch))]


class Decoder:
    """Decodes a batch of JPEGs on the CPU: in the caller's thread, or in DALI's threads if there are several."""

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
        """Return the regions of the images, in memory that DALI reuses for the next batch.

        Raises RuntimeError if the region of an image does not decode, or if the image is smaller than the region.
        """
        self._pipeline.feed_input("jpegs", TensorListCPU(jpegs) if isinstance(jpegs, np.ndarray) else listed(jpegs))
        for name, corners in regions._asdict().items():
            self._pipeline.feed_input(name, TensorListCPU(corners))
        (decoded,) = self._pipeline.run()
        heights, widths = regions.sides.T.astype(np.int64)
        pixels = decoded.as_reshaped_tensor([int(3 * heights @ widths)])
        return Images.one_after_another(np.asarray(pixels), heights, widths)


def viewing(
    source: Callable[[], Any],
    max_batch: int,
    threads: int,
    *,
    device: int | None,
    decode: str | None,
    cubic: bool = False,
) -> Pipeline:
    """Return a graph that cuts out and resizes the views of the images from `source`, on GPU `device`.

    `source` returns (images, *arguments(views, regions, size)). The resized views are uint8 (size, size, 3), made with
    antialiased bilinear filters, or bicubic ones if `cubic` is set. `decode` says where JPEGs are decoded: "cpu", or
    "mixed" (nvJPEG on the GPU). If `decode` is None, the images of `source` are decoded already. If `device` is None,
    everything runs on the CPU, as in tests.
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
        filters = types.INTERP_CUBIC if cubic else types.INTERP_LINEAR
        images = fn.resize(images, size=size, roi_start=start, roi_end=end, interp_type=filters, antialias=True)
        pipeline.set_outputs(images)
    return _built(pipeline, decode)


def decoding_alone(
    source: Callable[[], Any], max_batch: int, threads: int, *, device: int | None, decode: str, copy: bool
) -> Pipeline:
    """Return only the first part of the graph `viewing`, for timing: it decodes whole images from `source`.

    With `copy`, the graph also copies the images to GPU `device`. Without `copy`, the images stay where they are
    decoded: in main memory if `decode` is "cpu", or on GPU `device` if `decode` is "mixed".
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
    """Copy a dense DALI batch into the tensor `made`, which has the same shape, on the CUDA stream `stream`.

    The CPU need not wait for the copy, because DALI reuses the batch's memory only after the copy in `stream`
    (CopyToExternalImplGPU in dali/python/backend_impl.cc). Sharing a tensor through DLPack would need a
    cudaDeviceSynchronize for each batch.
    """
    from nvidia.dali.plugin.pytorch import feed_ndarray  # noqa: PLC0415  the plugin loads many modules, and only a GPU needs it

    feed_ndarray(images, made, cuda_stream=stream)


def arguments(views: Views, regions: Regions, size: int) -> tuple[NDArray[Any], ...]:
    """Return the inputs of a graph from `viewing` for n views: the area to cut out, its part to resize, and the size.

    Corners and sides of the areas are int32 (n, 2). Corners of the parts are float32 (n, 2), relative to the areas.
    When DALI resizes a part of an image, it also uses pixels around the part. The area is therefore cut out first: it
    has only pixels that may be used.
    """
    moved = regions.moved(views)
    return regions.start, regions.sides, moved.start, moved.end, np.full(regions.start.shape, size, np.float32)
