"""Frames and utterances of log-probabilities, for the rows of several losses."""

import torch
from torch import Generator, Tensor

from export.backends import Inputs
from export.catalog import draw

BATCH, FRAMES, CLASSES = 3, 7, 5


def _log_probabilities(g: Generator, *shape: int) -> Tensor:
    return torch.log_softmax(draw.normal(g, *shape, CLASSES), -1)


def frames(g: Generator) -> Inputs:
    """Log-probabilities ``[B, T, C]`` and labels ``[B, T]``."""
    shape = (BATCH, FRAMES)
    return _log_probabilities(g, *shape), draw.labels(g, *shape, classes=CLASSES)


def padded(g: Generator) -> Inputs:
    """Frames with lengths."""
    return (*frames(g), draw.lengths(g, BATCH, FRAMES))


def utterances(g: Generator) -> Inputs:
    """Log-probabilities ``[B, C]`` and labels ``[B]``."""
    return _log_probabilities(g, 2 * BATCH), draw.labels(g, 2 * BATCH, classes=CLASSES)


def class_weights() -> Tensor:
    """One weight for each class."""
    return torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0])
