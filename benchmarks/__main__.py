"""Start the benchmarks with a quiet allocator and one thread: ``python -m benchmarks --help``."""

from benchmarks.machine import settle

settle()

from benchmarks.command import app  # noqa: E402  (torch must not load before the settings)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
