"""How many processors there are to run on."""

import os


def processors() -> int:
    """Those that this process may use; 2 where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
