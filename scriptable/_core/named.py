"""Functions that a configuration file, which holds plain text, can name."""

from collections.abc import Callable, Mapping
from typing import Any


class Named:
    """Beside the type of an argument, in ``Annotated``: the functions it can be given by name."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.functions = dict(functions)
