"""The command line: ``python -m export``.

Exit codes: 0 = done and all parity within tolerance, 1 = parity or a check failed, 2 = bad usage
or bad input. Errors are one line on stderr; with ``--json`` and no file, stdout is pure JSON.
"""

import sys
from typing import NoReturn

from export.errors import InputError

try:
    from export import commands
    from export.commands._app import app
except ImportError as error:
    if error.name is None or error.name.startswith(("export", "scriptable")):
        raise
    print(f"error: {error.name} is not installed: pip install 'scriptable[cli]'", file=sys.stderr)
    sys.exit(2)

__all__ = ["app", "commands", "main"]


def refuse(message: str) -> NoReturn:
    """One line, and the exit code of bad input."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    try:
        app()
    except InputError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


if __name__ == "__main__":
    main()
