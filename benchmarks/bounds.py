"""What bounds the rows that miss their target, as a profile has shown it."""

BOUNDS: dict[tuple[str, str], str] = {}
"""By name, and a part of the shape."""


def bound(name: str, shape: str) -> str:
    """The explanation of a row, or nothing."""
    for (entry, part), text in BOUNDS.items():
        if entry == name and part in shape:
            return text
    return ""
