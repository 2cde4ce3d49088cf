"""SpeechBrain's transducer loss in numba's simulator of CUDA: run by a test, prints JSON.

The simulator must be chosen before numba is imported, so this is a program of its own.
"""

import json
import os


def main() -> None:
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    import torch
    from speechbrain.nnet.losses import transducer_loss

    targets = torch.tensor([[1, 2], [3, 0]])
    lengths = (torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.5]))
    found = {}
    for reduction in ("none", "mean", "sum"):
        logits = torch.zeros(2, 4, 3, 5, requires_grad=True)
        loss = transducer_loss(logits, targets, *lengths, 0, reduction)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        found[reduction] = {"value": loss.tolist(), "gradient": gradient.reshape(-1).tolist()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
