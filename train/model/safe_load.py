"""Files of torch, read without running what is in them; and in our own words what is wrong with one that is not read.

torch's words advise to load the file with weights_only=False, which would run whatever code it brings.
"""

import io
import re
import warnings
from typing import Any

import torch

_FOREIGN = re.compile(r"Unsupported (?:global|class|type)\W+(?:GLOBAL )?([\w.]+)")
_ADVICE = re.compile(r"weights[_ -]only", re.IGNORECASE)


def safe_load(data: bytes) -> Any:
    """What `torch.save` wrote: tensors, on the CPU, and plain values. Raises ValueError where it is anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that callers refuse
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        if (words := _own_words(str(error))) is not None:
            raise ValueError(words) from None  # HEADRACE_DEBUG=1 shows causes, and this one has the advice
        raise ValueError(first_line(error)) from error


def _own_words(text: str) -> str | None:
    """What to say instead of a message with that advice; None for any other message."""
    if not _ADVICE.search(text):
        return None
    if foreign := _FOREIGN.search(text):
        return f"it holds {foreign[1]}, neither a tensor nor a plain value, which could run code: it was not loaded"
    return "it is damaged, or no file of tensors and plain values alone"


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
