"""YAML files that remember where every key stands, so that errors name file and line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.errors import InputError
from export.extras import require
from scriptable import ConfigError
from scriptable.config import Keys, path_of

_MOST_BYTES = 1_000_000
_MOST_NODES = 100_000
_DEEPEST = 30
# YAML 1.1 takes 1e-3 for a text.
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class YamlFile:
    """A YAML document and the lines of its keys.

    Args:
        path: the file; at most 1 MB, and no key twice in a mapping.

    Raises:
        InputError: if it cannot be read, or is not YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Keys, int] = {}
        self.value: Any = self._read()

    def refuse(self, error: ConfigError) -> InputError:
        """The error of a key with the file and the line where it stands."""
        keys = error.keys
        if keys and keys not in self.lines and (*keys[:-1], "args", keys[-1]) in self.lines:
            keys = (*keys[:-1], "args", keys[-1])
        while keys not in self.lines and keys:
            keys = keys[:-1]
        place = f"{self.path}:{self.lines[keys]}" if keys else f"{self.path}"
        named = keys if len(keys) > len(error.keys) else error.keys
        path = f"{path_of(named)}: " if named else ""
        return InputError(f"{place}: {path}{error.problem}")

    def _read(self) -> Any:
        yaml = require("yaml")
        if self.path.exists() and not self.path.is_file():
            # A pipe would wait for ever.
            raise InputError(f"{self.path}: is not a regular file")
        try:
            with self.path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror or error}") from error
        if len(text) > _MOST_BYTES:
            raise InputError(f"{self.path}: larger than {_MOST_BYTES // 1000} KB")
        loader = None
        try:
            text.decode("utf-8")
            # The parser calls itself for each level, before a node is there to be looked at.
            if _deepest(yaml, text) > _DEEPEST:
                raise InputError(f"{self.path}: nested more than {_DEEPEST} deep")
            loader = self._loader(yaml)(text)
            node = loader.get_single_node()
            if node is None:
                return None
            for count, _ in enumerate(self._walk(node, (), 0)):
                if count > _MOST_NODES:
                    raise InputError(f"{self.path}: more than {_MOST_NODES} values")
            return loader.construct_document(node)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise InputError(f"{self.path}{line}: not YAML: {problem}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: not text in UTF-8") from error
        except ValueError as error:
            # A date such as 2024-99-99 is one in form only.
            raise InputError(f"{self.path}: a value that is none: {error}") from error
        finally:
            if loader is not None:
                loader.dispose()

    def _loader(self, yaml: Any) -> Any:
        class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
            """A safe loader that reads 1e-3 as a number."""

        Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
        return Loader

    def _walk(self, node: Any, keys: Keys, depth: int) -> Iterator[None]:
        """Note the line of every key below a node."""
        if depth > _DEEPEST:
            raise InputError(f"{self.path}: nested more than {_DEEPEST} deep, or within itself")
        yield
        children: list[tuple[str | int, Any, Any]] = []
        if node.id == "mapping":
            children = [(key.value, key, value) for key, value in node.value]
        elif node.id == "sequence":
            children = [(index, value, value) for index, value in enumerate(node.value)]
        seen: set[Any] = set()
        for name, key, value in children:
            line = key.start_mark.line + 1
            if not isinstance(name, (str, int)):
                raise InputError(f"{self.path}:{line}: expected a plain key")
            if name in seen:
                raise InputError(f"{self.path}:{line}: {path_of((*keys, name))}: stands twice")
            seen.add(name)
            self.lines[(*keys, name)] = line
            yield from self._walk(value, (*keys, name), depth + 1)


def _deepest(yaml: Any, text: bytes) -> int:
    """How deep a document is nested, by its events, which need no recursion."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        deepest = max(deepest, depth)
        if deepest > _DEEPEST:
            break
    return deepest
