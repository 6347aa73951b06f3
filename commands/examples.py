"""Examples below the help of a command. A test runs them, in the order of docs/commands.md."""


def examples(*lines: str) -> str:
    """What click prints below the options: each line as it is, not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
