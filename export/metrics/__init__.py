"""Score files and protocols of the field, and the error rates of what is in them."""
