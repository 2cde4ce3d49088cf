"""The commands of ``python -m export``, one file each; importing them registers them."""

from export.commands import demo, listing, metrics, model, parity, score, vectors, verify, web
from export.commands._app import app

__all__ = [
    "app",
    "demo",
    "listing",
    "metrics",
    "model",
    "parity",
    "score",
    "vectors",
    "verify",
    "web",
]
