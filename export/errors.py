"""The errors that the command line turns into one line and an exit code."""


class InputError(Exception):
    """Bad input from outside: a file, an artefact, a protocol or an argument. Exit code 2."""


class ArtefactError(InputError):
    """A saved artefact that cannot be loaded or does not hold what it should."""


class MissingPackageError(InputError):
    """An optional package is needed and not installed; the message names the extra."""
