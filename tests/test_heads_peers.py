"""The heads equal the peers' where the peers are right: value, gradients, checkpoints, scores."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import peers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import deviation, loss_and_gradients
from torch import Tensor, nn

from scriptable import (
    AMSoftmax,
    ASoftmax,
    ASVSpoofBinaryLoss,
    CrossEntropy,
    OCSoftmax,
)

FLOAT64, FLOAT32 = 1e-10, 1e-5
# The peer's renorm adds 1e-7 to the length of a centre, so that its cosines are 1e-7 short at
# length 1 (test_centre_renormalisation_differs shows it); at length 1e6 both are the same in
# float64. The direction is all that counts, and the gradient shrinks by the same factor.
LENGTH = 1e6
FRESH = settings(deadline=None, max_examples=4000, derandomize=False)


class Case(NamedTuple):
    ours: nn.Module
    theirs: nn.Module
    labels: Tensor
    shape: tuple[int, int]
    scale: float
    seed: int
    bonafide: int


@st.composite
def cases(draw: Callable[..., Any], head: str) -> Case:
    seed = draw(st.integers(0, 2**32 - 1))
    batch, dim = draw(st.integers(2, 10)), draw(st.integers(6, 24))
    n_classes = draw(st.integers(2, 5)) if head != "oc" else 2
    bonafide = draw(st.integers(0, 1))
    weights = draw(
        st.none() | st.lists(st.floats(0.1, 5.0), min_size=n_classes, max_size=n_classes)
    )
    shape = (dim, n_classes)
    torch.manual_seed(seed)
    if head == "am":
        margin, s = draw(st.floats(0.0, 0.6)), draw(st.floats(1.0, 30.0))
        ours = AMSoftmax(*shape, margin, s, class_weights=weights, bonafide_label=bonafide)
        theirs = peers.deepfense_am_softmax(*shape, weights, bonafide, margin, s)
    elif head == "a":
        config = {
            "gamma": draw(st.floats(0.0, 2.0)),
            "lambda_min": draw(st.floats(0.0, 10.0)),
            "lambda_max": draw(st.floats(0.0, 1500.0)),
        }
        power = draw(st.integers(1, 5))
        ours = ASoftmax(*shape, power, bonafide_label=bonafide, **config)
        theirs = peers.deepfense_a_softmax(*shape, power, bonafide, **config)
    elif head == "oc":
        # The peer's Softplus leaves log(1 + eˣ) above 20, see test_softplus_threshold_differs.
        config = {"m_real": draw(st.floats(0.3, 0.9)), "m_fake": draw(st.floats(-0.5, 0.3))}
        config["alpha"] = draw(st.floats(1.0, 10.0))
        ours = OCSoftmax(dim, bonafide_label=bonafide, **config)
        theirs = peers.deepfense_oc_softmax(dim, **config)
    else:
        ours = CrossEntropy(*shape, class_weights=weights, bonafide_label=bonafide)
        theirs = peers.deepfense_cross_entropy(*shape, weights, bonafide)
    scale = draw(st.sampled_from([1.0, 4.0]))
    labels = torch.randint(0, n_classes, (batch,))
    return Case(ours, theirs, labels, (batch, dim), scale, seed, bonafide)


def their_labels(head: str, case: Case) -> Tensor:
    """The peer's OC-softmax knows only 1 for bona fide."""
    if head == "oc" and case.bonafide == 0:
        return 1 - case.labels
    return case.labels


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("head", ["am", "a", "oc", "ce"])
def test_value_and_gradients(head: str, dtype: torch.dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    length = 1.0 if head == "ce" else LENGTH

    @FRESH
    @given(cases(head))
    def check(case: Case) -> None:
        ours, theirs = case.ours.to(dtype), case.theirs.to(dtype)
        if head != "ce":
            with torch.no_grad():
                theirs.mapper.weight.mul_(length)
        ours.load_state_dict(theirs.state_dict())
        generator = torch.Generator().manual_seed(case.seed)
        embeddings = case.scale * torch.randn(*case.shape, dtype=dtype, generator=generator)
        # The reference is the peer in float64 on the very same numbers.
        reference = loss_and_gradients(
            theirs.double(), embeddings.double(), their_labels(head, case)
        )
        actual = loss_and_gradients(ours, embeddings, case.labels)
        assert actual[0].dtype == dtype
        d = [deviation(actual[0], reference[0]), deviation(actual[1], reference[1])]
        d += [deviation(length * m, length * r) for m, r in zip(actual[2], reference[2], strict=True)]
        k = head, str(dtype)
        W[k] = [max(a, b) for a, b in zip(W.get(k, [0] * len(d)), d)]

    check()
    print(W)
W = {}
