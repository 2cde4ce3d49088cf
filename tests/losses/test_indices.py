"""Labels outside the classes: an error where there can be one, and never memory elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import scriptable
from export.backends import Source, all_backends

CLASSES = 5


def _x(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def _frames() -> tuple[Tensor, ...]:
    return (_x(3, 6, CLASSES).log_softmax(-1),)


_ONES = torch.ones(3)

# A module, its inputs before the labels and after them, and labels that are legal.
LOSSES: dict[str, tuple[nn.Module, tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]] = {
    "ctc": (scriptable.CTCLoss(0), _frames(), torch.ones(3, 2).long(), (_ONES, _ONES)),
    "transducer": (
        scriptable.TransducerLoss(0),
        (_x(3, 6, 3, CLASSES),),
        torch.ones(3, 2).long(),
        (_ONES, _ONES),
    ),
    "nll": (scriptable.NLLLoss(), _frames(), torch.ones(3, 6).long(), ()),
    "nll weighted": (
        scriptable.NLLLoss(label_smoothing=0.1, weight=torch.ones(CLASSES)),
        _frames(),
        torch.ones(3, 6).long(),
        (),
    ),
    "kldiv": (
        scriptable.KLDivLoss(label_smoothing=0.1, pad_idx=-7),
        _frames(),
        torch.ones(3, 6).long(),
        (),
    ),
    "error": (scriptable.ClassificationError(), _frames(), torch.ones(3, 6).long(), ()),
    "wrapper": (
        scriptable.LogSoftmaxWrapper(scriptable.AngularMargin()),
        _frames(),
        torch.ones(3, 6).long(),
        (),
    ),
    **{
        name: (getattr(scriptable, name)(4, CLASSES), (_x(3, 4),), torch.ones(3).long(), ())
        for name in (
            "AMSoftmax",
            "ASoftmax",
            "CrossEntropy",
            "P2SGrad",
            "AAMSoftmax",
            "Softmax",
            "SphereFace2",
            "ArcMarginProduct_intertopk_subcenter",
        )
    },
}
WRONG = [CLASSES, -1, -100, 10**6]


def _with(labels: Tensor, wrong: int) -> Tensor:
    changed = labels.clone()
    changed.view(-1)[-1] = wrong
    return changed


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_label_that_is_no_class_is_an_error(name: str, wrong: int) -> None:
    module, before, labels, after = LOSSES[name]
    torch.isfinite(module(*before, labels, *after))
    with pytest.raises(
        ValueError, match=rf"(targets|labels?): expected classes in \[0, 4\], got {wrong}$"
    ):
        module(*before, _with(labels, wrong), *after)


@pytest.mark.parametrize("name", LOSSES)
def test_a_scripted_loss_raises_as_well(name: str) -> None:
    module, before, labels, after = LOSSES[name]
    scripted = torch.jit.script(module)
    torch.testing.assert_close(
        scripted.eval()(*before, labels, *after), module.eval()(*before, labels, *after)
    )
    for wrong in WRONG:
        with pytest.raises(torch.jit.Error, match=r"expected classes in \[0, 4\], got"):
            scripted(*before, _with(labels, wrong), *after)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("backend", ["trace", "torch_export"])
def test_a_saved_graph_takes_the_nearest_class(name: str, backend: str, tmp_path: Path) -> None:
    module, before, labels, after = LOSSES[name]
    module = module.eval()
    source = Source(module, {"forward": (*before, labels, *after)}, "")
    path = tmp_path / f"loss{all_backends()[backend].suffix}"
    all_backends()[backend].save(source, path)
    saved = all_backends()[backend].load(path)
    for wrong, nearest in ((CLASSES, CLASSES - 1), (10**6, CLASSES - 1), (-1, 0), (-100, 0)):
        (found,) = saved.run("forward", (*before, _with(labels, wrong), *after))
        expected = module(*before, _with(labels, nearest), *after)
        torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("ctc", "aot_eager"),
        ("transducer", "aot_eager"),
        ("nll", "inductor"),
        ("Softmax", "inductor"),
    ],
)
def test_a_compiled_loss_raises(name: str, backend: str) -> None:
    module, before, labels, after = LOSSES[name]
    torch._dynamo.reset()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(*before, labels, *after), module(*before, labels, *after))
    for wrong in (CLASSES, -100):
        with pytest.raises(
            (ValueError, RuntimeError), match=r"expected classes in|index out of bounds"
        ):
            compiled(*before, _with(labels, wrong), *after)


def test_padding_may_hold_anything() -> None:
    lengths = torch.tensor([1.0, 0.5, 0.5])
    labels = torch.ones(3, 6).long()
    labels[1:, 3:] = -100
    log_probs = _frames()[0]
    for loss in (scriptable.nll_loss, scriptable.kldiv_loss, scriptable.classification_error):
        assert bool(torch.isfinite(loss(log_probs, labels, lengths)))
    targets = torch.tensor([[1, 2], [1, -100], [1, 10**6]])
    halves = torch.tensor([1.0, 0.5, 0.5])
    assert bool(torch.isfinite(scriptable.ctc_loss(log_probs, targets, _ONES, halves, 0)))
    marked = torch.where(labels < 0, -1, labels)
    torch.testing.assert_close(
        scriptable.kldiv_loss(log_probs, marked, pad_idx=-1),
        scriptable.kldiv_loss(log_probs, labels, lengths, pad_idx=-1),
    )


def test_sources_that_are_not_there_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"perms: expected classes in \[0, 2\], got 3"):
        scriptable.reorder_tensor(torch.zeros(1, 3), torch.tensor([[0, 1, 3]]))


def test_the_host_can_check_labels_itself() -> None:
    scriptable.check_labels(torch.tensor([[0, 4]]), CLASSES)
    with pytest.raises(
        ValueError, match=r"labels: expected classes in \[0, 4\], got -100 at \[1\]"
    ):
        scriptable.check_labels(torch.tensor([0, -100]), CLASSES)
    with pytest.raises(ValueError, match=r"targets: expected an integer dtype, got torch\.float32"):
        scriptable.check_labels(torch.zeros(2), CLASSES, "targets")


_BLANKS: dict[str, Callable[[int], Tensor]] = {
    "ctc": lambda b: scriptable.ctc_loss(_frames()[0], torch.ones(3, 2).long(), _ONES, _ONES, b),
    "ctc_kd": lambda b: scriptable.ctc_loss_kd(_frames()[0], _x(3, 6, CLASSES), _ONES, b, "cpu"),
    "transducer": lambda b: scriptable.transducer_loss(
        _x(3, 6, 3, CLASSES), torch.ones(3, 2).long(), _ONES, _ONES, b
    ),
}


@pytest.mark.parametrize("name", _BLANKS)
def test_a_negative_blank_counts_from_the_last_class(name: str) -> None:
    call = _BLANKS[name]
    assert torch.equal(call(-1), call(CLASSES - 1))
    assert torch.equal(call(-CLASSES), call(0))
    assert not torch.equal(call(-1), call(0))
    for wrong in (CLASSES, -CLASSES - 1):
        with pytest.raises(ValueError, match=rf"expected a label in \[-5, 4\], got {wrong}"):
            call(wrong)


def test_a_negative_blank_is_torchaudios_default() -> None:
    functional = pytest.importorskip(
        "torchaudio.functional", reason="pip install torchaudio for the comparison"
    )
    logits, targets = _x(3, 6, 3, CLASSES), torch.ones(3, 2).int()
    sizes = torch.full((3,), 6).int(), torch.full((3,), 2).int()
    theirs = functional.rnnt_loss(logits, targets, *sizes, reduction="none", fused_log_softmax=True)
    ours = scriptable.transducer_loss(logits, targets, _ONES, _ONES, -1, "none")
    torch.testing.assert_close(ours, theirs)
