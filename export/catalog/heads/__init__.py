"""Rows of the heads."""
