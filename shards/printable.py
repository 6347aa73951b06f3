"""Text with foreign parts, as a terminal may show it."""


def printable(line: str) -> str:
    r"""The line with characters that do not print as their codes: \u001b for ESC, \udcff for a byte that is no UTF-8.

    Names in archives are others' words; as they are, they could move the cursor, hide lines or retitle the window.
    """
    return line if line.isprintable() else "".join(one if one.isprintable() else _code(ord(one)) for one in line)


def _code(number: int) -> str:
    """As JSON, TOML and Python write it."""
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
