"""Checkpoints of other people's training loops: names that differ by a prefix or by a rule."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from export.errors import InputError
from export.jobs.checkpoint import load_checkpoint
from export.jobs.names import renamed
from export.runtime.contract import weights_sha256
from scriptable import LFCC, AdaptedEncoder, LightCNN, Logits, OCSoftmax, ScorePipeline


def network() -> nn.Module:
    torch.manual_seed(3)
    blocks = nn.ModuleDict({"conv": nn.Conv1d(1, 4, 3), "norm": nn.BatchNorm1d(4)})
    return nn.Sequential(blocks["conv"], blocks["norm"], nn.Linear(8, 2))


def pipeline() -> ScorePipeline:
    return ScorePipeline(nn.Identity(), AdaptedEncoder(network()), Logits(), 10)


def empty() -> ScorePipeline:
    """The same with other weights."""
    made = pipeline()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    return made


def loaded(content: object, folder: Path, **options) -> ScorePipeline:
    torch.save(content, folder / "weights.pth")
    made = empty()
    load_checkpoint(made, folder / "weights.pth", **options)
    return made


def same(one: nn.Module, other: nn.Module) -> bool:
    return weights_sha256(one.state_dict()) == weights_sha256(other.state_dict())


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in network().state_dict().items()}


FORMS = {
    "upstream's own": prefixed(""),
    "of the network in the pipeline": prefixed("encoder.network."),
    "of the encoder": prefixed("encoder."),
    "parallel": prefixed("module."),
    "of two wrappers": prefixed("model.backbone."),
    "in a wrapper": {"state_dict": prefixed("net."), "epoch": 3},
    "beside an optimiser": {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]},
        "weights": {"ema": prefixed("")},
        "step": 5,
    },
    "beside a number": {**prefixed(""), "epoch": 7},
}


@pytest.mark.parametrize("form", FORMS)
def test_names_that_differ_by_what_they_share_load(form: str, tmp_path: Path) -> None:
    assert same(loaded(FORMS[form], tmp_path), pipeline())


def test_rules_rename_and_leave_out(tmp_path: Path) -> None:
    state = {name.replace("0.", "first.", 1): x for name, x in network().state_dict().items()}
    state["classifier.weight"] = torch.zeros(3)
    rules = {r"^first\.": "0.", r"^classifier\.": None}
    assert same(loaded(state, tmp_path, rename=rules), pipeline())
    with pytest.raises(InputError, match="two names of the checkpoint become a"):
        renamed({"a1": torch.zeros(1), "a2": torch.zeros(1)}, {r"\d": ""})


def test_the_one_rule_that_would_do_is_said(tmp_path: Path) -> None:
    state = {
        name.replace("encoder.network.0.", "encoder.network.first."): value
        for name, value in pipeline().state_dict().items()
    }
    said = r"rename: \{'first': '0'\} would make all names match"
    with pytest.raises(InputError, match=said):
        loaded(state, tmp_path)
    assert same(loaded(state, tmp_path, rename={"first": "0"}), pipeline())


def test_weights_of_another_variant_are_listed_by_shape(tmp_path: Path) -> None:
    state = prefixed("")
    state["2.weight"] = torch.zeros(3, 8)
    said = r"1 of another shape: encoder.network.2.weight \[3, 8\] instead of \[2, 8\]"
    with pytest.raises(InputError, match=said):
        loaded({f"encoder.network.{name}": x for name, x in state.items()}, tmp_path)


def test_what_no_rule_mends_is_listed(tmp_path: Path) -> None:
    state = prefixed("encoder.network.")
    state["encoder.network.2.w"] = state.pop("encoder.network.2.weight")
    state["encoder.network.1.b"] = state.pop("encoder.network.1.bias")
    with pytest.raises(InputError, match=r"2 missing: .*; 2 unexpected: "):
        loaded(state, tmp_path)


def test_a_front_end_of_one_convolution_loads(tmp_path: Path) -> None:
    """Its kernel, filters and cosine transform were convolutions, the bins in their own order."""
    functional = pytest.importorskip("torchaudio.functional")

    def scorer() -> ScorePipeline:
        frontend = LFCC(n_filter=20, n_lfcc=20, log_lf=True)
        return ScorePipeline(frontend, LightCNN(20, 16), OCSoftmax(16), 4000).eval()

    trained = scorer()
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith("frontend.")}
    state["frontend.spectrogram.window"] = torch.hann_window(400)
    state["frontend.spectrogram.kernel"] = torch.zeros(402, 1, 400)
    filters = functional.linear_fbanks(201, 0.0, 8000.0, 20, 16000)
    state["frontend.filterbank.weight"] = filters.t().unsqueeze(2).contiguous()
    state["frontend.dct.weight"] = functional.create_dct(20, 20, "ortho").t().unsqueeze(2).clone()
    torch.save(state, tmp_path / "old.pt")
    made = scorer()
    load_checkpoint(made, tmp_path / "old.pt")
    waveform = 0.1 * torch.randn(2, 4000)
    torch.testing.assert_close(made(waveform), trained(waveform))
    state["frontend.filterbank.weight"] = torch.zeros(21, 201, 1)
    torch.save(state, tmp_path / "old.pt")
    with pytest.raises(InputError, match="filterbank"):
        load_checkpoint(scorer(), tmp_path / "old.pt")
