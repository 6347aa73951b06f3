"""Formats the examples below the help of a command. A test runs all examples in the order of docs/commands.md."""


def examples(*lines: str) -> str:
    """Return the example lines as text that click prints below the options of a command without wrapping them."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
