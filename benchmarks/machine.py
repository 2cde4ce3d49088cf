"""The process that measures, and what the figures belong to: machine, versions, settings."""

import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

QUIET_ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
}
"""glibc keeps freed memory: page faults would dominate tensors above 5 MB."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

_PACKAGES = (
    "torch",
    "torchaudio",
    "executorch",
    "coremltools",
    "numpy",
    "speechbrain",
    "espnet",
    "deepfense",
)


def settle() -> None:
    """Start this process again where the allocator or the threads are not set; before torch."""
    wanted = {**QUIET_ALLOCATOR, **_ONE_THREAD}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        arguments = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, **wanted})


def versions() -> dict[str, str]:
    """Of everything that is measured, and of Python."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Processor, cores, system, and the settings of the run."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": [round(x, 2) for x in os.getloadavg()],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "allocator": QUIET_ALLOCATOR,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def import_seconds(rounds: int) -> dict[str, float]:
    """What ``import scriptable`` takes beyond ``import torch``: median of fresh processes."""
    code = (
        "import time; a = time.process_time(); import torch; b = time.process_time(); "
        "import scriptable; c = time.process_time(); print(b - a, c - b)"
    )
    times = []
    for _ in range(rounds + 1):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        times.append([float(x) for x in result.stdout.split()])
    torch_s, ours_s = zip(*times[1:], strict=True)
    return {"torch_s": statistics.median(torch_s), "scriptable_s": statistics.median(ours_s)}
