"""Formats the examples below the help of a command. A test runs all examples in the order of docs/commands.md."""


def examples(*lines: str) -> str:
    """Return the text that click prints below the options. Its lines are not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
