"""Heads on what a network computes itself: logits, or one number."""

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scriptable import Logits, RawScore, build_loss

LABELS = torch.tensor([0, 1, 1, 0, 1])


def test_neither_head_has_anything_to_load() -> None:
    assert not Logits().state_dict() and not RawScore().state_dict()
    assert not list(Logits().parameters()) and not list(RawScore().parameters())


@pytest.mark.parametrize("column", [0, 1])
def test_two_logits_score_as_bona_fide_minus_spoof(column: int) -> None:
    logits = torch.randn(5, 2)
    expected = logits[:, column] - logits[:, 1 - column]
    assert torch.equal(Logits(column).score(logits), expected)


@pytest.mark.parametrize("column", range(4))
def test_several_logits_score_as_log_odds_against_the_rest(column: int) -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    share = logits.softmax(1)[:, column]
    torch.testing.assert_close(Logits(column).score(logits), share.logit())


def test_the_loss_of_logits_is_cross_entropy() -> None:
    logits = torch.randn(5, 2, requires_grad=True)
    torch.testing.assert_close(Logits()(logits, LABELS), F.cross_entropy(logits, LABELS))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize("bonafide_label", [0, 1])
def test_a_score_and_its_loss_agree_on_what_is_bona_fide(
    shape: tuple[int, ...], bonafide_label: int
) -> None:
    sign = torch.where(bonafide_label == LABELS, 1.0, -1.0).reshape(shape)
    head = RawScore("bonafide", bonafide_label)
    turned = RawScore("spoof", bonafide_label)
    assert torch.equal(head.score(sign), sign.reshape(5))
    assert torch.equal(turned.score(sign), -sign.reshape(5))
    torch.testing.assert_close(head(4 * sign, LABELS), torch.tensor(4.0).neg().exp().log1p())
    torch.testing.assert_close(turned(-4 * sign, LABELS), head(4 * sign, LABELS))


@pytest.mark.parametrize(
    ("head", "given", "said"),
    [
        (Logits(), torch.zeros(3), "logits: expected shape [B, C] with C of 2 or more, got [3]"),
        (Logits(), torch.zeros(3, 1), "logits: expected shape [B, C] with C of 2 or more, got"),
        (
            Logits(2),
            torch.zeros(3, 2),
            "bonafide_column: expected a column of the 2 logits, 0 to 1, got 2",
        ),
        (RawScore(), torch.zeros(3, 2), "values: expected shape [B] or [B, 1], got [3, 2]"),
        (RawScore(), torch.zeros(3, 1, 1), "values: expected shape [B] or [B, 1], got [3, 1, 1]"),
    ],
)
def test_what_does_not_fit_is_said(head: torch.nn.Module, given: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        head.score(given)
    with pytest.raises(ValueError, match=re.escape(said)):
        head(given, torch.tensor([0, 1, 1]))


def test_wrong_labels_and_arguments_are_refused() -> None:
    for head, values in ((Logits(), torch.zeros(2, 2)), (RawScore(), torch.zeros(2))):
        with pytest.raises(ValueError, match=re.escape("labels: expected shape [2], got [3]")):
            head(values, torch.tensor([0, 1, 1]))
    for config, said in (
        ({"type": "Logits", "bonafide_column": -1}, "bonafide_column: expected 0 or more, got -1"),
        ({"type": "RawScore", "higher": "real"}, "higher: expected one of"),
        ({"type": "RawScore", "bonafide_label": 2}, "bonafide_label: expected 0 or 1, got 2"),
    ):
        with pytest.raises(ValueError, match=f"loss.{re.escape(said)}"):
            build_loss(config)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_values_stay_finite(dtype: torch.dtype) -> None:
    large = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=dtype, requires_grad=True)
    for loss in (
        Logits()(large, torch.tensor([1, 0])),
        RawScore()(large[:, :1], torch.tensor([0, 1])),
    ):
        loss.backward()
        assert loss.isfinite() and large.grad is not None and bool(large.grad.isfinite().all())
    assert bool(Logits().score(large).isfinite().all())
