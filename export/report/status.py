"""How statuses are ordered and shown, in the page and in the terminal."""

from export.parity.record import Status

WORST_FIRST: tuple[Status, ...] = ("fail", "waived", "skipped", "not_run", "pass")


# A sign beside the word: the cells differ in more than colour.
SIGN = {"pass": "✓", "fail": "✗", "waived": "⚑", "skipped": "–", "not_run": "○"}


WORD = {
    "pass": "pass",
    "fail": "fail",
    "waived": "waived",
    "skipped": "skipped",
    "not_run": "not run",
}
