"""Loads each file named on standard input and scores one recording: a line of JSON for each.

A process of its own, so that a crash is seen, and charged to the file that it happened on.
"""

import json
import sys
import warnings
from pathlib import Path

import torch

from export.errors import InputError
from export.runtime.scorer import load_scorer


def main() -> None:
    """One answer a line, in the order of the questions."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    wave = torch.load(sys.argv[1], weights_only=True)
    for line in sys.stdin:
        try:
            found = {"score": load_scorer(Path(line.rstrip("\n"))).score_waveform(wave)}
        except InputError as error:
            found = {"refused": str(error)}
        except Exception as error:
            found = {"traceback": repr(error)}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
