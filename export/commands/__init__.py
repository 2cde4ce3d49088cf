"""The commands of ``python -m export``, one file each; importing them registers them."""

from export.commands import demo, listing, metrics, model, parity, score, vectors, verify

__all__ = ["demo", "listing", "metrics", "model", "parity", "score", "vectors", "verify"]
