"""coremltools without its progress bars, log lines and known warnings."""

import contextlib
import functools
import logging
import warnings
from collections.abc import Iterator
from typing import Any

QUIET_LOGGERS = ("coremltools", "torch.utils._pytree")
KNOWN_WARNINGS = (
    r"(read|open)_text is deprecated",
    r"Function _TORCH_OPS_REGISTRY\.__contains__ is deprecated",
    "Implicitly cleaning up <TemporaryDirectory",
)


@contextlib.contextmanager
def quiet_coremltools() -> Iterator[Any]:
    """Import coremltools and keep its progress bars, log lines and known warnings away."""
    import tqdm  # type: ignore[import-untyped]

    loggers = [logging.getLogger(name) for name in QUIET_LOGGERS]
    levels = [logger.level for logger in loggers]
    with_bars = tqdm.tqdm.__init__
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    # coremltools has no switch for its bars, and redirecting stderr would hide other threads'.
    setattr(tqdm.tqdm, "__init__", functools.partialmethod(with_bars, disable=True))  # noqa: B010
    try:
        with warnings.catch_warnings():
            for message in KNOWN_WARNINGS:
                warnings.filterwarnings("ignore", message)
            import coremltools

            yield coremltools
    finally:
        setattr(tqdm.tqdm, "__init__", with_bars)  # noqa: B010
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
