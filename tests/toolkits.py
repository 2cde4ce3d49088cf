"""The heads and losses of the compared toolkits, as oracles: thin constructors, imported on use."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

DEEPFENSE = "deepfense.models.losses."


def imported(module_name: str) -> ModuleType:
    """A toolkit's module; without it the test is skipped with the command that brings it."""
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = module_name.partition(".")[0]
        pytest.skip(f"{package} is not installed ({error}): make toolkits")
    # SpeechBrain switches TorchScript's profiling off for the whole process, and with it the order
    # in which a scripted head raises.
    torch._C._jit_set_profiling_executor(True)
    torch._C._jit_set_profiling_mode(True)
    # SpeechBrain registers modules that import k2 and others when anything asks for their
    # __file__, and hypothesis asks every module for it.
    for name, lazy in list(sys.modules.items()):
        if name.startswith("speechbrain") and "__file__" not in vars(lazy):
            lazy.__file__ = None
    return module


def clone(repository: str, path: str) -> ModuleType:
    """A file of a toolkit that is on no index, from a folder of clones by their GitHub names."""
    folder = os.environ.get("SCRIPTABLE_CLONES")
    if not folder:
        pytest.skip(f"clone {repository} into a folder and name it in SCRIPTABLE_CLONES")
    file = Path(folder, repository.partition("/")[2], path)
    if not file.exists():
        pytest.skip(f"{repository} is not in SCRIPTABLE_CLONES: git clone it there")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deepfense_am_softmax(
    embedding_dim: int,
    n_classes: int = 2,
    class_weights: Sequence[float] | None = None,
    bonafide_label: int = 1,
    m: float = 0.3,
    s: float = 30.0,
) -> nn.Module:
    config = {
        "embedding_dim": embedding_dim,
        "n_classes": n_classes,
        "m": m,
        "s": s,
        "class_weights": class_weights,
        "bonafide_label": bonafide_label,
    }
    return imported(DEEPFENSE + "am_softmax").AMSoftmaxLoss(config)


def deepfense_a_softmax(
    embedding_dim: int, n_classes: int = 2, m: int = 4, bonafide_label: int = 1, **others: Any
) -> nn.Module:
    config = {
        "embedding_dim": embedding_dim,
        "n_classes": n_classes,
        "m": m,
        "bonafide_label": bonafide_label,
        **others,
    }
    return imported(DEEPFENSE + "a_softmax").ASoftmaxLoss(config)


def deepfense_oc_softmax(
    embedding_dim: int,
    m_real: float = 0.5,
    m_fake: float = 0.2,
    alpha: float = 20.0,
    bonafide_label: int = 1,
) -> nn.Module:
    """The configuration that its code reads; the documented one raises KeyError."""
    config = {
        "embedding_dim": embedding_dim,
        "w_posi": m_real,
        "w_nega": m_fake,
        "alpha": alpha,
        "bonafide_label": bonafide_label,
    }
    return imported(DEEPFENSE + "oc_softmax").OCSoftmaxLoss(config)


def deepfense_cross_entropy(
    embedding_dim: int,
    n_classes: int = 2,
    class_weights: Sequence[float] | None = None,
    bonafide_label: int = 1,
) -> nn.Module:
    config = {
        "embedding_dim": embedding_dim,
        "n_classes": n_classes,
        "class_weights": class_weights,
        "bonafide_label": bonafide_label,
    }
    return imported(DEEPFENSE + "cross_entropy").CrossEntropy(config)


def espnet_binary_loss(weight: float = 1.0) -> nn.Module:
    return imported("espnet2.asvspoof.loss.binary_loss").ASVSpoofBinaryLoss(weight=weight)


def speechbrain_losses() -> ModuleType:
    module = imported("speechbrain.nnet.losses")
    # Its placeholders for optional packages fail when hypothesis looks through the loaded modules.
    for name, loaded in list(sys.modules.items()):
        if type(loaded).__module__ == "speechbrain.utils.importutils":
            del sys.modules[name]
    return module


def deviation(ours: Tensor, reference: Tensor) -> float:
    """Largest |ours − reference| over max(1, |reference|), element by element; NaN is infinite."""
    reference = reference.to(torch.float64)
    error = (ours.to(torch.float64) - reference).abs() / reference.abs().clamp(min=1.0)
    return float(torch.nan_to_num(error, nan=torch.inf).max())


def loss_and_gradients(
    module: nn.Module, embeddings: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Loss, gradient by the embeddings, gradients by the parameters in the order of their names."""
    embeddings = embeddings.detach().clone().requires_grad_()
    parameters = [value for _, value in sorted(module.named_parameters())]
    loss = module(embeddings, labels)
    first, *rest = torch.autograd.grad(loss, [embeddings, *parameters])
    return loss.detach(), first, list(rest)


def with_centres(theirs: nn.Module, centres: Tensor) -> nn.Module:
    """A toolkit's head whose centres are the columns of ``centres``."""
    with torch.no_grad():
        theirs.mapper.weight.copy_(centres)
    return theirs


def adopt(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """Our head with the toolkit's checkpoint, loaded strictly."""
    ours.load_state_dict(theirs.state_dict())
    return ours


def numbers(tensor: Tensor) -> list[float]:
    return tensor.detach().reshape(-1).tolist()


def espnet_softmax(nout: int, nclasses: int) -> nn.Module:
    return imported("espnet2.spk.loss.softmax").Softmax(nout, nclasses)


def espnet_aam(nout: int, nclasses: int, **config: Any) -> nn.Module:
    return imported("espnet2.spk.loss.aamsoftmax").AAMSoftmax(nout, nclasses, **config)


def espnet_arc(nout: int, nclasses: int, **config: Any) -> nn.Module:
    module = imported("espnet2.spk.loss.aamsoftmax_subcenter_intertopk")
    return module.ArcMarginProduct_intertopk_subcenter(nout, nclasses, **config)
