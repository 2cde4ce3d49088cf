"""What runs a saved file, and nothing else: audio, guards, windows, contract, scorer, verifier."""
