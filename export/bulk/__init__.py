"""Whole archives: every recording of an input once, in shards, whatever dies on the way.

The input is cut into slices, each written to ``listing/`` before it is handed out. A worker turns a
slice into a shard of the same number, which takes its place whole or not at all. What is to be done
is therefore what has a listing and no shard, at any moment and on any machine.
"""
