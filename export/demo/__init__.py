"""Models that are trained here, to show the whole way."""
