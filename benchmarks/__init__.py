"""Side by side with the compared toolkits, in one run: ``python -m benchmarks``."""
