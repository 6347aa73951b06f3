"""What others do with an export: foreign.py WAY EXPORT IMAGES OUT.npz, in a process that has no Headrace.

The ways ending in -graph take pixels.npy of the current folder; the others read the files in IMAGES, sorted.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

WAY, EXPORT, IMAGES, OUT = sys.argv[1:]
FILES = sorted(Path(IMAGES).iterdir())
BATCH = 100
assert importlib.util.find_spec("headrace") is None


def batched(run: Any, pixels: Any) -> Any:
    """Logits of many images, a batch at a time."""
    with torch.no_grad():
        return np.concatenate(
            [np.asarray(run(pixels[first : first + BATCH])) for first in range(0, len(pixels), BATCH)]
        )


def with_preprocess() -> Any:
    """The pixels that preprocess.py beside the network makes of the files."""
    spec: Any = importlib.util.spec_from_file_location("preprocess", f"{EXPORT}/preprocess.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.batch(FILES)


def by_timm(pixels: Any) -> tuple[Any, Any]:
    """Logits of timm's model; the pixels are those given, or what its own transform makes of the files."""
    import timm
    from PIL import Image

    model = timm.create_model(f"local-dir:{EXPORT}", pretrained=True).eval()
    settings = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(settings[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    if pixels is None:
        transform = timm.data.create_transform(**settings, is_training=False)
        ready = torch.stack([transform(Image.open(path).convert("RGB")) for path in FILES])
        pixels = ((ready * std + mean) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        return batched(model, ready), pixels
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return batched(model, (floats - mean) / std), pixels


def by_transformers() -> Any:
    """The scores of every class, in the order of config.json's labels, from the pipeline."""
    import json

    from transformers import pipeline

    labels = json.loads(Path(EXPORT, "config.json").read_text())["label_names"]
    ask = pipeline("image-classification", model=EXPORT)
    rows = []
    for answer in ask([str(path) for path in FILES], top_k=len(labels), batch_size=1):
        scores = {one["label"]: one["score"] for one in answer}
        rows.append([np.log(max(scores[label], 1e-30)) for label in labels])
    return np.array(rows)


def by_onnx(pixels: Any) -> Any:
    """Logits of ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(f"{EXPORT}/model.onnx", providers=["CPUExecutionProvider"])
    assert "headrace" in session.get_modelmeta().custom_metadata_map
    return batched(lambda part: session.run(["logits"], {"images": part})[0], pixels)


def by_torch(pixels: Any) -> Any:
    """Logits of torch.export's file."""
    module = torch.export.load(f"{EXPORT}/model.pt2").module()
    return batched(lambda part: module(torch.from_numpy(part)), pixels)


def main() -> None:
    """Go the way, and keep what came of it."""
    if WAY == "transformers":
        np.savez(OUT, logits=by_transformers())
        return
    program = WAY.removesuffix("-graph")
    if program == "timm":
        logits, pixels = by_timm(np.load("pixels.npy") if WAY.endswith("-graph") else None)
    else:
        pixels = np.load("pixels.npy") if WAY.endswith("-graph") else with_preprocess()
        logits = {"onnx": by_onnx, "torch": by_torch}[program](pixels)
    np.savez(OUT, logits=logits, pixels=pixels)


if __name__ == "__main__":
    main()
