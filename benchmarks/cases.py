"""What is measured: our losses against the installed peers', on the same inputs."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import scriptable
from benchmarks.measure import Step


class PeerMissing(Exception):
    """A peer is not installed; the message says which package to install."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    shape: str
    peer: str
    make: Callable[[], tuple[Step, Step]]
    target: float = 1.05


def peer_module(name: str) -> Any:
    """Import a peer, or say what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerMissing(f"{name.split('.')[0]} is not installed: make peers") from error


def step(loss: Callable[..., Tensor], leaves: list[Tensor], *rest: Any) -> Step:
    """Forward and backward of ``loss(leaves..., rest...)``."""

    def run() -> tuple[Tensor, ...]:
        value = loss(*leaves, *rest)
        return (value.detach(), *torch.autograd.grad(value, leaves))

    return run


_DIM, _BATCH = 192, 256


def _deepfense(name: str, head: Callable[..., nn.Module], **config: Any) -> Case:
    def make() -> tuple[Step, Step]:
        losses = peer_module("deepfense.models.losses." + _FILES[name])
        torch.manual_seed(0)
        peer = getattr(losses, _CLASSES[name])(
            {"embedding_dim": _DIM, "n_classes": 2, "bonafide_label": 1, **config}
        ).train()
        ours = head(_DIM).train()
        ours.load_state_dict(peer.state_dict())
        embeddings = torch.randn(_BATCH, _DIM, requires_grad=True)
        labels = torch.randint(2, (_BATCH,))
        return step(ours, [embeddings], labels), step(peer, [embeddings], labels)

    return Case(name, f"B{_BATCH} D{_DIM} C2", "deepfense", make)


_FILES = {
    "AMSoftmax": "am_softmax",
    "OCSoftmax": "oc_softmax",
    "CrossEntropy": "cross_entropy",
}
_CLASSES = {
    "AMSoftmax": "AMSoftmaxLoss",
    "OCSoftmax": "OCSoftmaxLoss",
    "CrossEntropy": "CrossEntropy",
}


def _binary() -> tuple[Step, Step]:
    peer = peer_module("espnet2.asvspoof.loss.binary_loss").ASVSpoofBinaryLoss()
    torch.manual_seed(0)
    pred = torch.randn(_BATCH, 2, requires_grad=True)
    label = torch.randint(2, (_BATCH, 2))
    return step(scriptable.ASVSpoofBinaryLoss(), [pred], label), step(peer, [pred], label)


def _regression(name: str) -> Case:
    def make() -> tuple[Step, Step]:
        peer = getattr(peer_module("speechbrain.nnet.losses"), name)
        torch.manual_seed(0)
        predictions = torch.randn(32, 500, 80, requires_grad=True)
        targets = torch.randn(32, 500, 80)
        length = torch.randint(100, 501, (32,)) / 500
        ours = getattr(scriptable, name)
        return step(ours, [predictions], targets, length), step(
            peer, [predictions], targets, length
        )

    return Case(name, "B32 T500 F80, lengths", "speechbrain", make, target=1.1)


CASES = [
    _deepfense("AMSoftmax", scriptable.AMSoftmax, m=0.3, s=30.0),
    _deepfense("OCSoftmax", scriptable.OCSoftmax, w_posi=0.5, w_nega=0.2, alpha=20.0),
    _deepfense("CrossEntropy", scriptable.CrossEntropy),
    Case("ASVSpoofBinaryLoss", f"B{_BATCH}", "espnet", _binary),
    _regression("l1_loss"),
    _regression("mse_loss"),
]
