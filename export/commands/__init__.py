"""The commands of ``python -m export``, one file each; importing them registers them."""

from export.commands import (
    bulk,
    demo,
    listen,
    listing,
    metrics,
    model,
    parity,
    score,
    trials,
    vectors,
    verify,
    web,
)
from export.commands._app import app

__all__ = [
    "app",
    "bulk",
    "demo",
    "listen",
    "listing",
    "metrics",
    "model",
    "parity",
    "score",
    "trials",
    "vectors",
    "verify",
    "web",
]
