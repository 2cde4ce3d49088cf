"""Spoofing heads, beside DeepFense and ESPnet."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, peer_module, work

_DIM, _BATCH = 192, 256


def _deepfense(
    name: str, file: str, peer_class: str, head: Callable[[int], nn.Module], **config: Any
) -> Case:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        torch.manual_seed(0)
        ours = head(_DIM).train().to(device)
        embeddings = draw.normal(g, device, _BATCH, _DIM)
        labels = draw.labels(g, device, 2, _BATCH)

        def peer() -> nn.Module:
            losses = peer_module(f"deepfense.models.losses.{file}")
            arguments = {"embedding_dim": _DIM, "n_classes": 2, "bonafide_label": 1, **config}
            theirs = getattr(losses, peer_class)(arguments).train().to(device)
            state = {key: value.clone() for key, value in ours.state_dict().items()}
            theirs.load_state_dict(state, strict=False)
            return theirs

        return Sides(work(ours, [embeddings], labels), lambda: work(peer(), [embeddings], labels))

    return Case(name, f"B{_BATCH} D{_DIM} C2", make, "deepfense")


def _binary(device: torch.device) -> Sides:
    g = draw.generator()
    pred = draw.normal(g, device, _BATCH, 2)
    label = draw.labels(g, device, 2, _BATCH, 2)
    return Sides(
        work(scriptable.ASVSpoofBinaryLoss(), [pred], label),
        lambda: work(
            peer_module("espnet2.asvspoof.loss.binary_loss").ASVSpoofBinaryLoss(), [pred], label
        ),
    )


CASES = [
    _deepfense("AMSoftmax", "am_softmax", "AMSoftmaxLoss", scriptable.AMSoftmax, m=0.3, s=30.0),
    _deepfense("ASoftmax", "a_softmax", "ASoftmaxLoss", scriptable.ASoftmax, m=4),
    _deepfense(
        "OCSoftmax",
        "oc_softmax",
        "OCSoftmaxLoss",
        scriptable.OCSoftmax,
        w_posi=0.5,
        w_nega=0.2,
        alpha=20.0,
    ),
    _deepfense("CrossEntropy", "cross_entropy", "CrossEntropy", scriptable.CrossEntropy),
    Case("ASVSpoofBinaryLoss", f"B{_BATCH}", _binary, "espnet"),
]
