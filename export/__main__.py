"""The command line: ``python -m export``, or ``scriptable`` where the package is installed.

Exit codes: 0 = done and all parity within tolerance, 1 = parity or a check failed, 2 = bad usage
or bad input, 143 = stopped by SIGTERM.
Errors are one line on stderr; with ``--json`` and no file, stdout is pure JSON.
"""

import signal
import sys
from typing import NoReturn

from export.errors import InputError
from export.extras import not_installed
from export.text import printable


def refuse(message: str) -> NoReturn:
    """One line, and the exit code of bad input."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    # As an exception, so that what is half-written goes away as it does after an error.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        from export import commands

        commands.app(prog_name=_program())
    except InputError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except ImportError as error:
        if message := not_installed(error):
            refuse(message)
        raise


def _program() -> str | None:
    """The name in completions; None: as it was called."""
    # A shell completes the arguments of a command, and python's are not ours to complete.
    completing = {"--show-completion", "--install-completion"} & set(sys.argv)
    return "scriptable" if completing else None


if __name__ == "__main__":
    main()
