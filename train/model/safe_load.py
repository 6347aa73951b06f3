"""Reads torch files without running code in them, and rewords torch's errors.

torch's own messages advise loading the file with weights_only=False, which would run any code in it.
"""

import io
import re
import warnings
from typing import Any

import torch

_FOREIGN = re.compile(r"Unsupported (?:global|class|type)\W+(?:GLOBAL )?([\w.]+)")
_ADVICE = re.compile(r"weights[_ -]only", re.IGNORECASE)


def safe_load(data: bytes) -> Any:
    """Return the tensors, on the CPU, and plain values of a `torch.save` file. Raises ValueError for other content."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about kinds of tensors that callers refuse
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds of errors for a damaged or foreign file
        if (words := _own_words(str(error))) is not None:
            raise ValueError(words) from None  # HEADRACE_DEBUG=1 shows causes, and this cause has the advice
        raise ValueError(first_line(error)) from error


def _own_words(text: str) -> str | None:
    """Return other words for a message of torch that advises weights_only=False, or None for any other message."""
    if not _ADVICE.search(text):
        return None
    if foreign := _FOREIGN.search(text):
        return f"it was not loaded because it could run code: {foreign[1]} is neither a tensor nor a plain value"
    return "it is damaged, or holds more than tensors and plain values"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the error's type if the message is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
