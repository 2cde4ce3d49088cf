"""No configuration value of the wrong kind is taken for a number: modules and functions alike."""

import inspect
import math
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import nn

import scriptable
from scriptable import L1Loss, MaskedLoss

_EYE = torch.eye(3)
_ENCODER: dict[str, Any] = {
    "frontend": scriptable.LogMel(n_mels=40),
    "encoder": scriptable.LightCNN(40),
}

_STREAM: dict[str, Any] = {
    "frontend": scriptable.LogMel(n_mels=24, hop_length=160, center=False),
    "encoder": scriptable.CausalLightCNN(24),
}

# What the constructors need besides the value under test.
MODULES: dict[str, dict[str, Any]] = {
    "AAMSoftmax": {"nout": 4, "nclasses": 3},
    "AMSoftmax": {"embedding_dim": 4},
    "ASoftmax": {"embedding_dim": 4},
    "AdaptedEncoder": {"network": nn.Identity()},
    "ArcMarginProduct_intertopk_subcenter": {"nout": 4, "nclasses": 3},
    "AttentiveStatisticsPooling": {"channels": 4},
    "CTCLoss": {"blank_index": 0},
    "CTCLossKD": {"blank_index": 0},
    "CachedScorePipeline": {
        "frontend": scriptable.LogMel(n_mels=40, hop_length=160, center=False),
        "encoder": scriptable.LightCNN(40),
        "head": scriptable.OCSoftmax(64),
    },
    "CausalLightCNN": {"n_features": 24},
    "ContrastiveLoss": {"logit_temp": 0.1},
    "CrossEntropy": {"embedding_dim": 4},
    "EmbeddingPipeline": _ENCODER,
    "FeatureNorm": {"n_features": 20},
    "Fusion": {"weights": [1.0, 2.0]},
    "Laplacian": {"kernel_size": 3},
    "LightCNN": {"n_features": 20},
    "LogMel": {"n_mels": 40},
    "LogSoftmaxWrapper": {"loss_fn": nn.Identity()},
    "MFCC": {"n_mfcc": 13, "n_mels": 40},
    "MarginScheduler": {"heads": scriptable.AAMSoftmax(4, 3)},
    "MaskedLoss": {"loss_fn": nn.L1Loss(reduction="none")},
    "MultiLoss": {"losses": [scriptable.OCSoftmax(4)]},
    "OCSoftmax": {"embedding_dim": 4},
    "P2SGrad": {"in_dim": 4},
    "PLDA": {"mean": torch.zeros(3), "within": _EYE, "between": _EYE},
    "PitWrapper": {"base_loss": nn.MSELoss(reduction="none")},
    "RunningStatisticsPooling": {"channels": 4},
    "ScoreNorm": {"cohort": torch.randn(400, 4)},
    "ScorePipeline": {**_ENCODER, "head": scriptable.OCSoftmax(64)},
    "Softmax": {"nout": 4, "nclasses": 3},
    "SphereFace2": {"embedding_dim": 4, "n_classes": 3},
    "StreamingEmbeddingPipeline": _STREAM,
    "StreamingScorePipeline": {**_STREAM, "head": scriptable.OCSoftmax(64)},
    "TransducerLoss": {"blank_index": 0},
}

_COSINE, _LABELS = torch.tensor([[0.5, 0.4], [0.1, 0.2]]), torch.tensor([0, 1])
_FRAMES, _LENGTH = torch.rand(2, 4, 3), torch.ones(2)
_SIGNAL = torch.randn(8, 2, 2)
_DVECS = torch.randn(3, 2, 4)
_ONE = torch.tensor(1.0)
_TRIALS = torch.tensor([2.0, 1.0, -1.0, 0.5]), torch.tensor([1, 1, 0, 0])
_TOKENS = torch.tensor([[1, 2], [2, 1]])
_LOG_PROBS = torch.randn(2, 4, 3).log_softmax(2)
_MARGIN: tuple[Any, ...] = (torch.randn(2, 4), torch.randn(3, 4), _LABELS, _ONE)

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "a_softmax_loss": (_COSINE, torch.ones(2, 1), _LABELS, _ONE),
    "aam_softmax_loss": _MARGIN,
    "am_softmax_loss": (_COSINE, _LABELS),
    "angular_prototypical_loss": (_DVECS, _ONE, _ONE),
    "bce_loss": (torch.randn(2, 4), torch.ones(2, 4), _LENGTH),
    "cal_si_snr": (_SIGNAL, _SIGNAL),
    "cal_snr": (_SIGNAL, _SIGNAL),
    "check_labels": (_LABELS, 3),
    "classification_error": (_FRAMES, torch.zeros(2, 4).long(), _LENGTH),
    "compute_length_mask": (_FRAMES, _LENGTH),
    "compute_masked_loss": (nn.L1Loss(reduction="none"), _FRAMES, _FRAMES, _LENGTH),
    "ctc_loss": (_LOG_PROBS, _TOKENS, _LENGTH, _LENGTH),
    "ctc_loss_kd": (_LOG_PROBS, _LOG_PROBS, _LENGTH, 0, "cpu"),
    "distance_diff_loss": (_FRAMES[:, :, 0], torch.ones(2), _LENGTH),
    "ge2e_loss": (_DVECS, _ONE, _ONE),
    "get_si_snr_with_pitwrapper": (_SIGNAL, _SIGNAL),
    "get_snr_with_pitwrapper": (_SIGNAL, _SIGNAL),
    "kldiv_loss": (_LOG_PROBS, torch.zeros(2, 4).long(), _LENGTH),
    "l1_loss": (_FRAMES, _FRAMES, _LENGTH),
    "mse_loss": (_FRAMES, _FRAMES, _LENGTH),
    "nll_loss": (_LOG_PROBS, torch.zeros(2, 4).long(), _LENGTH),
    "oc_softmax_loss": (_COSINE[:, 0], _LABELS),
    "prototypical_loss": (_DVECS,),
    "reduce_loss": (_FRAMES, torch.ones(2, 4, 1)),
    "sphereface2_loss": (_COSINE, _LABELS, _ONE, _ONE),
    "subcenter_intertopk_loss": (torch.randn(2, 4), torch.randn(9, 4), _LABELS, _ONE, _ONE),
    "transducer_loss": (torch.randn(2, 4, 3, 3), _TOKENS, _LENGTH, _LENGTH),
    "truncate": (_FRAMES, _FRAMES),
}


def kinds(hint: Any) -> list[Any]:
    """The types that an annotation allows, besides None."""
    union = get_origin(hint) in (Union, types.UnionType)
    return [kind for kind in get_args(hint) if kind is not type(None)] if union else [hint]


def wrong_values(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Names of numbers and flags among the arguments, each with values of the wrong kind."""
    wrong = {
        int: ("sum", 0.5, True, math.nan),
        float: ("sum", True, math.nan, math.inf),
        bool: ("sum", 0.3),
    }
    for name, hint in get_type_hints(function).items():
        if len(kinds(hint)) == 1 and kinds(hint)[0] in (int, float, bool):
            yield from ((name, value) for value in wrong[kinds(hint)[0]])


def public(is_kind: Callable[[Any], bool]) -> list[str]:
    return [name for name in scriptable.__all__ if is_kind(getattr(scriptable, name))]


def is_module(thing: Any) -> bool:
    module = isinstance(thing, type) and issubclass(thing, nn.Module)
    return module or thing is scriptable.MarginScheduler


CASES = [
    pytest.param(name, argument, value, id=f"{name}-{argument}-{value}")
    for name in public(is_module)
    if name != "ShardedArcMarginProduct"  # needs a process group
    for argument, value in wrong_values(getattr(scriptable, name).__init__)
]


@pytest.mark.parametrize(("name", "argument", "value"), CASES)
def test_modules(name, argument, value) -> None:
    make = getattr(scriptable, name)
    make(**MODULES.get(name, {}))
    with pytest.raises(ValueError, match=rf"^{re.escape(argument)}: expected "):
        make(**(MODULES.get(name, {}) | {argument: value}))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name) -> None:
    function, given = getattr(scriptable, name), FUNCTIONS[name]
    signature = inspect.signature(function)
    fixed = dict(zip(signature.parameters, given, strict=False))
    if "blank_index" in signature.parameters:
        fixed["blank_index"] = 0
    function(**fixed)
    for argument, value in wrong_values(function):
        with pytest.raises(ValueError, match=rf"^{argument}: expected "):
            function(**(fixed | {argument: value}))


def test_the_table_of_functions_is_whole() -> None:
    def has_numbers(thing: Any) -> bool:
        if not inspect.isfunction(thing) or thing.__module__.split(".")[1] not in (
            "heads",
            "losses",
        ):
            return False
        return any(True for _ in wrong_values(thing))

    assert set(public(has_numbers)) <= FUNCTIONS.keys()


def test_a_reduction_does_not_become_a_length() -> None:
    with pytest.raises(TypeError, match="positional"):
        L1Loss("sum")
    with pytest.raises(TypeError, match="positional"):
        MaskedLoss(nn.L1Loss(reduction="none"), "targets")
    with pytest.raises(ValueError, match=r"^allowed_len_diff: expected a whole number, got 'sum'$"):
        scriptable.l1_loss(_FRAMES, _FRAMES, _LENGTH, "sum")
    assert L1Loss(reduction="sum")(_FRAMES, 0 * _FRAMES).item() == pytest.approx(
        float(_FRAMES.sum())
    )


@pytest.mark.parametrize("value", [3, 3.0])
def test_numbers_of_other_libraries_are_numbers(value) -> None:
    numpy = pytest.importorskip("numpy")
    number: Union[float, Any] = numpy.float32(value)
    assert scriptable.AMSoftmax(numpy.int64(4), m=number).m == 3.0


COSINES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a_softmax_loss": lambda c: scriptable.a_softmax_loss(c, torch.ones(2, 1), _LABELS, _ONE),
    "am_softmax_loss": lambda c: scriptable.am_softmax_loss(c, _LABELS),
    "p2sgrad_loss": lambda c: scriptable.p2sgrad_loss(c, _LABELS),
    "sphereface2_loss": lambda c: scriptable.sphereface2_loss(c, _LABELS, _ONE, _ONE),
}


@pytest.mark.parametrize("name", COSINES)
def test_a_cosine_is_a_matrix(name) -> None:
    with pytest.raises(ValueError, match=r"^cosine: expected shape \[B, C\], got \[2\]$"):
        COSINES[name](_COSINE[:, 0])


def test_the_cosine_to_one_centre_is_a_vector() -> None:
    with pytest.raises(ValueError, match=r"^cosine: expected shape \[B\], got \[2, 1\]$"):
        scriptable.oc_softmax_loss(_COSINE[:, :1], _LABELS)


@pytest.mark.parametrize("name", ["aam_softmax_loss", "subcenter_intertopk_loss"])
def test_centres_are_a_matrix(name) -> None:
    given = list(FUNCTIONS[name])
    given[1] = torch.randn(4)
    with pytest.raises(ValueError, match=r"^centres: expected shape \[C.*, D\], got \[4\]$"):
        getattr(scriptable, name)(*given)
