"""Rows of the losses over frames."""
