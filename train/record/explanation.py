"""Makes README.md of a run folder, which explains the folder's files to people who find it."""

_TEXT = """\
# A training run of Headrace

| file | what it is |
|---|---|
| `best.pt` | the checkpoint of the epoch with the best validation accuracy |
| `last.pt` | the latest checkpoint: `headrace train` with `--resume` continues from it |
| `checkpoints/` | the files that `best.pt` and `last.pt` refer to, and a few older checkpoints |
| `attempts/` | a file for each process that wrote to this folder, with a sign of life every 10 seconds |
| `recipe.toml` | all settings, with the values that were used: `headrace train SHARDS --recipe recipe.toml` |
| `report.html` | the run as a web page: curves, classes, mistakes, use of time; `headrace report` renews the page |
| `epochs.csv` | a row per epoch: losses, accuracies in percent, seconds, images a second, percent of time waiting |
| `metrics.jsonl` | a JSON object per line: epochs, the loss of each step, saves, memory, warnings, starts, ends |
| `environment.json` | versions, processor or GPU, processes, digest of the shard set |
| `run.json` | the recipe's name, changes to it, class names, digest and numbers of samples |
| `validation.parquet` | the predictions of `best.pt` for each validation sample, as `headrace eval --out` writes them |
| `trace-rank*.json.gz` | with `--profile`: a trace of a few steps, for ui.perfetto.dev |
| `pictures/` | a few training images as the network saw them, and the most confident mistakes, for the page |

Files that are still missing appear after the first epoch. docs/formats.md of Headrace describes the formats.

## The network in plain PyTorch

```python
import torch
{imported}

state = torch.load("best.pt", map_location="cpu", weights_only=True)
model = {made}
model.load_state_dict(state["average"] or state["model"])  # averaged weights, if the recipe keeps them
model.eval()
mean, std = (torch.tensor(state[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
# logits of images, (n, 3, height, width), RGB, values 0 to 255: model((images - mean) / std)
names = state["class_names"]  # in the order of the logits
```

`headrace.load_model("best.pt").predict("photos/")` does all of this, from image files to class names. The commands
`headrace predict`, `headrace eval` and `headrace export` accept this folder as an argument.
"""


def explain_folder(model: str) -> str:
    """Return README.md for the folder of a run that trains the network `model`."""
    count = 'num_classes=len(state["classes"])'
    if model.startswith("timm/"):
        name = model.removeprefix("timm/").partition(".")[0]
        return _TEXT.format(imported="import timm", made=f"timm.create_model({name!r}, {count})")
    package = "efficientnet_lite_pytorch" if model.startswith("efficientnet-lite") else "efficientnet_pytorch"
    return _TEXT.format(
        imported=f"from {package} import EfficientNet", made=f"EfficientNet.from_name({model!r}, {count})"
    )
