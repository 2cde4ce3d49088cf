"""The backends, one file each, and what others need to know of them."""

from export.backends._base import Artefact, Backend, Inputs, Source, flatten, save
from export.backends._copies import with_plain_weights
from export.backends._executorch import native_notices_hidden, quiet_executorch
from export.backends._registry import all_backends, backend_of, load, select
from export.backends._seal import UNSEALED

__all__ = [
    "UNSEALED",
    "Artefact",
    "Backend",
    "Inputs",
    "Source",
    "all_backends",
    "backend_of",
    "flatten",
    "load",
    "native_notices_hidden",
    "quiet_executorch",
    "save",
    "select",
    "with_plain_weights",
]
