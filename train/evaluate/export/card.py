"""Makes MODEL_CARD.md, which states the network, its training data, its accuracy, and the licence of its weights."""

import tomli_w

from headrace.train.evaluate.export.facts import Facts

_OPEN = {
    "timm": 'timm opens it: `timm.create_model("local-dir:PATH", pretrained=True)`; transformers too: '
    '`pipeline("image-classification", model="PATH")`. config.json says how to prepare images.',
    "safetensors": "`safetensors.safe_open` reads the tensors; its `metadata()` has a JSON object under `headrace`.",
    "onnx": "`preprocess.py` prepares image files; ONNX Runtime takes its pixels as `images` and returns `logits`.",
    "torch": '`preprocess.py` prepares image files; `torch.export.load("model.pt2").module()` takes its pixels.',
}
_BEGUN = {
    "pretrained": "Training began with published weights of {model}, whose own terms apply: {licence}.",
    "file": "Training began with weights from a file that the user gave; the terms of that file apply.",
    "random": "Training began with random weights.",
}
_LICENCE = (
    "Headrace makes no claim on the result: the person who trained it chooses a licence, as far as the licence of the "
    "images allows. ImageNet and TinyImageNet are for non-commercial research."
)
_SMALLER = "- Larger images were shrunk to a longer side of {} pixels before training: do this first.\n"
_MIRROR = "- The recipe's evaluation averages each image with its mirror image; the exported network does not.\n"


def card(facts: Facts, kind: str, accuracy: str, compared: str, *, flip: bool) -> str:
    """Return the text of the model card in Markdown.

    `accuracy` and `compared` are sentences for the card; `flip` tells whether the recipe's evaluation also uses mirror
    images.
    """
    weights = "averaged weights" if facts.averaged else "weights"
    pairs = enumerate(zip(facts.classes, facts.names, strict=True))
    classes = "\n".join(f"- {label}: {_plain(one)} {_plain(name)}" for label, (one, name) in pairs)
    licence = facts.licence or "not stated by the publisher; look it up"
    begun = _BEGUN[facts.recipe["model"]["init"]].format(model=facts.model, licence=licence)
    smaller = "" if facts.max_side is None else _SMALLER.format(facts.max_side)
    return f"""# {facts.model}, {len(facts.classes)} classes

An image classifier trained with Headrace. {_OPEN[kind]}

- Data: a shard set with the digest `{facts.shard_set}`.
- Checkpoint: {weights} after step {facts.step:,}, SHA-256 `{facts.checkpoint}`.
- Input: RGB. The shorter side is resized to {facts.short} pixels ({facts.interpolation}, antialiased), then the
  central square of {facts.size} pixels is cut out.
{smaller}- Output: logits, before softmax, in the order of the classes below.
- Accuracy: {accuracy}
{_MIRROR if flip else ""}- Export: {compared}.

## Licence of the weights

{begun} {_LICENCE}

## Recipe

```toml
{tomli_w.dumps(facts.recipe).strip()}
```

## Classes

{classes}
"""


def _plain(name: str) -> str:
    """Return a class's id or name with the special characters of Markdown escaped."""
    return "".join(f"\\{one}" if one in "\\`*_[]<>#|!" else one if one.isprintable() else "?" for one in name)
