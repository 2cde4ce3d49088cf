"""A budget of time for a long job: what does not fit into it is left out, with the reason."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GENEROUS = 3600.0
"""Seconds; nothing that ends by itself takes so long."""
_PATIENCE = 5.0


class OutOfTime(BaseException):
    """The budget is used up; no converter's ``except Exception`` takes it for its own."""


class Budget:
    """Seconds for everything that a job does, counted from its making.

    Args:
        seconds: in all; infinity for no limit.
        patience: seconds; what takes longer in one pass is run once instead of several times.
    """

    def __init__(self, seconds: float = GENEROUS, patience: float = _PATIENCE) -> None:
        self.seconds = seconds
        self.patience = patience
        self._start = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds that are left; negative when more were taken than there were."""
        return self.seconds - (time.monotonic() - self._start)

    def refusal(self, expected: float = 0.0) -> str:
        """Why something that would take ``expected`` seconds is left out, or an empty string."""
        left = self.left
        if left <= 0:
            return f"left out: the budget of {self.seconds:.0f} s is used up (--budget)"
        if expected > left:
            return (
                f"left out: it would take about {expected:.0f} s, and {left:.0f} s of the budget "
                f"of {self.seconds:.0f} s are left (--budget)"
            )
        return ""

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Stop what runs inside when the time is over; native code is let end first.

        Raises:
            OutOfTime: in the main thread of a system that has timers; elsewhere nothing is stopped.
        """
        timed = (
            math.isfinite(self.seconds)
            and hasattr(signal, "setitimer")
            and threading.current_thread() is threading.main_thread()
        )
        if not timed:
            yield
            return
        message = f"did not end within the budget of {self.seconds:.0f} s (--budget)"

        def stop(number: int, frame: FrameType | None) -> None:
            raise OutOfTime(message)

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, max(self.left, 1e-3))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def unlimited() -> Budget:
    """As long as it takes, and every pass twice."""
    return Budget(math.inf, math.inf)
