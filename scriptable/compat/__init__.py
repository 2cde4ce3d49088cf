"""Adapters for the models of other toolkits, one file each; nothing else here imports them."""
