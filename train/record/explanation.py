"""What stands in a run folder, for people who find one: its README."""

_PACKAGES = {"efficientnet-lite0": "efficientnet_lite_pytorch"}
_TEXT = """\
# A training run of Headrace

| file | what it is |
|---|---|
| `best.pt` | the checkpoint of the epoch with the best validation accuracy |
| `last.pt` | the latest checkpoint: `headrace train` with `--resume` goes on from it |
| `checkpoints/` | the files that these two names stand for, and a few older ones |
| `recipe.toml` | all settings, with the values that were used: `headrace train SHARDS --recipe recipe.toml` |
| `report.html` | the run as a page: curves, classes, mistakes, where the time went; `headrace report` makes it anew |
| `epochs.csv` | a row an epoch: losses, accuracies in percent, seconds, images a second, percent of waiting for data |
| `metrics.jsonl` | the same, the loss of each step, saves, memory, warnings, starts, ends; a JSON object a line |
| `environment.json` | versions, processor or GPU, processes, digest of the shard set |
| `run.json` | the recipe's name, what was changed of it, class names, digest and numbers of samples |
| `validation.parquet` | what `best.pt` says of each validation sample, as `headrace eval --out` writes it |
| `trace-rank*.json.gz` | of a run with `--profile`: a trace of a few steps, for ui.perfetto.dev |
| `pictures/` | a few training images as the network saw them, and the most confident mistakes, for the page |

Files that are not there yet come with the first epoch. Formats: docs/formats.md of Headrace.

## The network in plain PyTorch

```python
import torch
from {package} import EfficientNet

state = torch.load("best.pt", map_location="cpu", weights_only=True)
model = EfficientNet.from_name({name!r}, num_classes=len(state["classes"]))
model.load_state_dict(state["average"] or state["model"])  # averaged weights, where the recipe keeps them
model.eval()
mean, std = (torch.tensor(state[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
# logits of images, (n, 3, height, width), RGB, values 0 to 255: model((images - mean) / std)
names = state["class_names"]  # in the order of the logits
```

`headrace.load_model("best.pt").predict("photos/")` does all of it; `headrace predict`, `headrace eval` and
`headrace export` take this folder.
"""


def explain_folder(model: str) -> str:
    """The README of the folder of a run that trains this network, Markdown."""
    return _TEXT.format(package=_PACKAGES.get(model, "efficientnet_pytorch"), name=model)
