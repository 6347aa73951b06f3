"""Writes an exported network, with one function for each format.

Each writer returns the written network as a function, for the comparison with the checkpoint. The function maps uint8
images (n, size, size, 3) to float32 logits (n, classes). It computes with the network in the written files, as read by
the library of their format.
"""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards import store
from headrace.shards.errors import UsageError
from headrace.train.evaluate.export.facts import KEY, Facts
from headrace.train.evaluate.export.graph import INPUT, Graph
from headrace.train.evaluate.export.timm_names import config, renamed

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]
Written = Callable[[Pixels], Logits]
MOST = 4096
"""The largest batch that an exported graph accepts, in images."""
FLOATS = "images, float32 (n, 3, size, size), RGB, (pixel - mean) / std with pixels, mean and std in 0..255"


@contextmanager
def extra(folder_format: str) -> Iterator[None]:
    """Turn an ImportError in this context into a UsageError that tells how to install the missing package."""
    try:
        yield
    except ImportError as error:
        what = f"--format {folder_format} needs the package {error.name}: pip install 'headrace[export]'"
        raise UsageError(what) from error


def write_timm(graph: Graph, facts: Facts, folder: Path) -> Written:
    """Write config.json and model.safetensors, which timm and transformers open."""
    written = _save_tensors(renamed(graph.network), facts, folder, "timm")
    text = json.dumps(config(facts, graph.network), indent=1)
    store.write_bytes(folder / "config.json", text.encode())
    back = {new: old for old, new in zip(graph.network.state_dict(), renamed(graph.network), strict=True)}
    return _with_tensors(graph, {back[name]: tensor for name, tensor in written.items()})


def write_safetensors(graph: Graph, facts: Facts, folder: Path) -> Written:
    """Write model.safetensors, in which tensors have the same names as in a checkpoint."""
    tensors = {name: tensor.contiguous() for name, tensor in graph.network.state_dict().items()}
    return _with_tensors(graph, _save_tensors(tensors, facts, folder, "safetensors"))


def _save_tensors(tensors: dict[str, Tensor], facts: Facts, folder: Path, kind: str) -> dict[str, Tensor]:
    """Write the tensors to model.safetensors with the facts as metadata; return the tensors as read from that file."""
    with extra(kind):
        from safetensors.torch import load, save  # noqa: PLC0415  optional
    metadata = {"format": "pt", KEY: json.dumps(facts.metadata(FLOATS))}
    path = folder / "model.safetensors"
    store.write_bytes(path, save(tensors, metadata))
    found: dict[str, Tensor] = load(path.read_bytes())
    return found


def _with_tensors(graph: Graph, tensors: dict[str, Tensor]) -> Written:
    """Return a function that computes logits with a copy of the graph, after `tensors` are loaded into its network."""
    same = copy.deepcopy(graph)
    same.network.load_state_dict(tensors)
    return logits_by(same)


def write_onnx(graph: Graph, facts: Facts, folder: Path) -> Written:
    """Write the network to the single file model.onnx, and preprocess.py beside it."""
    with extra("onnx"):
        import onnxruntime  # noqa: PLC0415  optional
        import onnxscript  # noqa: F401, PLC0415  torch needs it
    with _silent():
        program: Any = torch.onnx.export(
            graph,
            (_example(facts),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MOST)},),
            input_names=["images"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    for node in program.model.graph.all_nodes():
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)  # as `_forget_files`
    program.model.metadata_props[KEY] = json.dumps(facts.metadata(INPUT))
    path = folder / "model.onnx"
    program.save(str(path), external_data=False)
    _write_preprocess(facts, folder)
    onnxruntime.disable_telemetry_events()  # which its build for Windows would send
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> Logits:
        logits: Logits = session.run(["logits"], {"images": pixels})[0]
        return logits

    return run


def write_torch(graph: Graph, facts: Facts, folder: Path) -> Written:
    """Write model.pt2 with torch.export, and preprocess.py beside it."""
    shapes = ({0: torch.export.Dim("batch", min=1, max=MOST)},)
    with torch.no_grad():
        program = torch.export.export(graph, (_example(facts),), dynamic_shapes=shapes)
    _forget_files(program.graph_module)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={f"{KEY}.json": json.dumps(facts.metadata(INPUT))})
    store.write_bytes(folder / "model.pt2", buffer.getvalue())
    _write_preprocess(facts, folder)
    return logits_by(torch.export.load(io.BytesIO(buffer.getvalue())).module())


def _forget_files(module: torch.fx.GraphModule) -> None:
    """Remove the recorded source lines from all nodes of a graph, because these lines name paths of this machine."""
    for part in module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)


WRITERS = {"timm": write_timm, "safetensors": write_safetensors, "onnx": write_onnx, "torch": write_torch}


def logits_by(module: Callable[[Tensor], Tensor]) -> Written:
    """Wrap a torch module as a function from uint8 images (n, size, size, 3) to float32 logits (n, classes)."""

    def run(pixels: Pixels) -> Logits:
        with torch.no_grad():
            logits: Logits = module(torch.from_numpy(pixels)).numpy()
        return logits

    return run


def _example(facts: Facts) -> Tensor:
    return torch.zeros(2, facts.size, facts.size, 3, dtype=torch.uint8)


def preprocess_source(facts: Facts) -> str:
    """Return the source of preprocess.py, which turns image files into the pixels that the exported graph takes."""
    text = resources.files("headrace.train.evaluate.export").joinpath("preprocess.template").read_text("utf-8")
    text = text.replace("@SIZE@", str(facts.size)).replace("@SHORT@", str(facts.short))
    return text.replace("@FILTER@", facts.interpolation.upper())


def _write_preprocess(facts: Facts, folder: Path) -> None:
    store.write_bytes(folder / "preprocess.py", preprocess_source(facts).encode())


@contextmanager
def _silent() -> Iterator[None]:
    """Within this context, keep torch's messages and warnings off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
