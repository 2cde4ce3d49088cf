"""Text from outside, names of files above all, as it may be shown and written."""

import os


def printable(text: str) -> str:
    r"""In one line, with what would steer a terminal, or cannot be encoded, as an escape.

    Example:
        >>> print(printable("a\x1b[2Jb"))
        a\x1b[2Jb
    """
    return "".join(_shown(letter) for letter in " ".join(text.split()))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    if "\udc80" <= letter <= "\udcff":
        # A byte of a file's name that is no UTF-8, as Python keeps it.
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def in_json(name: str) -> str:
    """A file's name for JSON, which must be UTF-8 where the name need not be."""
    return os.fsencode(name).decode("utf-8", "replace")
