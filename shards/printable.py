"""Makes text from outside, such as file names, safe to show on a terminal."""


def printable(line: str) -> str:
    r"""The line with unprintable characters as codes: \u001b for ESC, \udcff for a byte that is not UTF-8.

    Names in archives come from others; unescaped, they could move the cursor, hide lines or retitle the window.
    """
    return line if line.isprintable() else "".join(one if one.isprintable() else _code(ord(one)) for one in line)


def _code(number: int) -> str:
    """The escape code of the character with this number, as in TOML and Python."""
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
