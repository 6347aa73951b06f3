"""Formats the examples that are printed at the end of a command's help.

A test runs all examples in the order of docs/commands.md.
"""


def examples(*lines: str) -> str:
    """Return the example lines as text that click prints, without wrapping, below the options of a command."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
