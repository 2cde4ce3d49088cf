"""Leaves out, when doctests are collected, what imports a toolkit that is not installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("espnet2") else ["scriptable/compat/espnet.py"]
