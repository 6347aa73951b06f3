"""MODEL_CARD.md: what the network is, what it was trained on, how well it does, and whose its weights are."""

import tomli_w

from headrace.train.evaluate.export.facts import Facts

_OPEN = {
    "timm": 'timm opens it: `timm.create_model("local-dir:PATH", pretrained=True)`; transformers too: '
    '`pipeline("image-classification", model="PATH")`. config.json says how images are made ready.',
    "safetensors": "`safetensors.safe_open` reads the tensors; its `metadata()` has a JSON object under `headrace`.",
    "onnx": "`preprocess.py` makes files ready; ONNX Runtime takes its pixels as `images` and gives `logits`.",
    "torch": '`preprocess.py` makes files ready; `torch.export.load("model.pt2").module()` takes its pixels.',
}
_BEGUN = {
    "pretrained": "Training began with published ImageNet weights, whose own terms apply; the packages that bring them "
    "are under Apache-2.0.",
    "file": "Training began with a file of weights that the user gave; its terms apply.",
    "random": "Training began with random weights.",
}
_LICENCE = (
    "Headrace claims nothing for the result: whoever trained it chooses a licence, as far as that of the images "
    "allows. ImageNet and TinyImageNet are for research that is not commercial."
)
_SMALLER = "- Larger images were made smaller before training, to a longer side of {} pixels: do so first.\n"
_MIRROR = "- The recipe's evaluation averages each image and its mirror image; the exported network does not.\n"


def card(facts: Facts, kind: str, accuracy: str, compared: str, *, flip: bool) -> str:
    """The page. `accuracy` and `compared` are sentences; `flip`: the recipe evaluates with mirror images."""
    weights = "averaged weights" if facts.averaged else "weights"
    pairs = enumerate(zip(facts.classes, facts.names, strict=True))
    classes = "\n".join(f"- {label}: {_plain(one)} {_plain(name)}" for label, (one, name) in pairs)
    smaller = "" if facts.max_side is None else _SMALLER.format(facts.max_side)
    return f"""# {facts.model}, {len(facts.classes)} classes

An image classifier trained with Headrace. {_OPEN[kind]}

- Data: a shard set with the digest `{facts.shard_set}`.
- Checkpoint: {weights} after step {facts.step:,}, SHA-256 `{facts.checkpoint}`.
- Input: RGB. The shorter side is resized to {facts.short} pixels (bilinear, antialiased), then the central square of
  {facts.size} pixels is cut out.
{smaller}- Output: logits, before softmax, in the order of the classes below.
- Accuracy: {accuracy}
{_MIRROR if flip else ""}- Export: {compared}.

## Licence of the weights

{_BEGUN[facts.recipe["model"]["init"]]} {_LICENCE}

## Recipe

```toml
{tomli_w.dumps(facts.recipe).strip()}
```

## Classes

{classes}
"""


def _plain(name: str) -> str:
    """A foreign name as text of a Markdown page."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>#|!" else one if one.isprintable() else "?" for one in name)
