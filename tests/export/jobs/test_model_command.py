"""``export model``: a user's network, configuration and weights into proven files."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    Command,
    assert_refused,
    spoof_trials,
    usable,
    without_progress,
)
from model_helpers import CONFIG, Own, own_model

from export.errors import InputError
from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import read_config
from export.runtime.audio import read_waveform
from export.runtime.contract import parse, weights_sha256
from export.runtime.scorer import load_scorer
from scriptable import MultiLoss, average_windows, cut_windows

TWO = ("--backend", "torchscript", "--backend", "torch_export")


@pytest.fixture
def own(own_code: Path) -> Own:
    return own_model(own_code)


@pytest.fixture
def trials(tmp_path: Path) -> tuple[str, ...]:
    return spoof_trials(tmp_path, 4, 9000)


def test_weights_and_configuration_become_files_that_score(
    own: Own, trials: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    options = ("--checkpoint", own.weights(), "--out", out, *TWO, *trials)
    ran = command("model", own.config(), *options)
    assert (ran.code, without_progress(ran.err)) == (0, ""), ran
    made = {"scorer.pt", "scorer.pt2", "parity.json", "scores.csv", "report.html"}
    assert {path.name for path in out.iterdir()} == made
    document = json.loads((out / "parity.json").read_text())
    assert [r["status"] for r in document["records"]] == ["pass"] * 6
    contents = {(r["backend"], r["content"]) for r in document["records"]}
    assert contents == {(b, c) for b in TWO[1::2] for c in ("example", "other", "speech")}
    for rung in document["ladder"]:
        assert (rung["trials"], rung["flips"], rung["delta_eer"]) == (4, 0, 0.0)
    assert "equal error rate" in ran.out and "tiny scorer" in (out / "report.html").read_text()
    contract = parse(load_scorer(out / "scorer.pt").artefact.contract(), "scorer.pt")
    assert contract.weights_sha256 == weights_sha256(own.state)
    assert contract.model == "tiny scorer"
    decision = contract.decision
    assert (decision.scale, decision.offset, decision.threshold) == (7.5, -1.25, 0.5)
    assert (decision.prior, decision.operating_point) == (0.2, "chosen by the test")
    assert (contract.windows.num_samples, contract.windows.hop) == (4000, 1500)
    score_equals_eager(own, out, tmp_path / "audio" / "f1.wav", command)


def score_equals_eager(own: Own, out: Path, wav: Path, command: Command) -> None:
    """``export score`` on the files is what the trained module says of the same recording."""
    waveform = read_waveform(wav, 16000).waveform
    with torch.no_grad():
        expected = average_windows(own.pipeline.eval()(cut_windows(waveform, 4000, 1500)))
    for name in ("scorer.pt", "scorer.pt2"):
        ran = command("score", out / name, wav, "--json")
        [found] = json.loads(ran.out)
        assert found["score"] == pytest.approx(expected, abs=1e-5)
        assert found["llr"] == pytest.approx(7.5 * expected - 1.25, abs=1e-4)


def test_a_mobile_runtime_and_random_weights(own: Own, tmp_path: Path, command: Command) -> None:
    usable("executorch_xnnpack")
    out = tmp_path / "out"
    config = own.config(CONFIG[CONFIG.index("calibration:") :])
    ran = command("model", config, "--out", out, "--backend", "executorch_xnnpack")
    assert ran.code == 0, ran
    assert "no --checkpoint: the weights are random" in ran.out
    assert "no calibration, so the LLR is the raw score" in ran.out
    assert "decisions were not compared" in ran.out
    contract = load_scorer(out / "scorer.xnnpack.pte").contract
    assert contract.decision.operating_point.startswith("not calibrated")
    assert contract.weights_sha256 == weights_sha256(read_config(config).pipeline.state_dict())


def test_a_file_that_differs_gives_exit_code_1(
    own: Own, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usable("torchscript"), "tolerance", -1.0, raising=False)
    ran = command("model", own.config(), "--out", tmp_path / "out", *TWO[:2])
    assert ran.code == 1
    assert "ScorePipeline[scorer].forward on torchscript, example, other: differs by 0" in ran.err


def test_a_network_that_one_backend_refuses_still_gives_the_other_files(
    own: Own, tmp_path: Path, command: Command
) -> None:
    config, out = own.config("own_net.Tiny", "own_net.Eager"), tmp_path / "out"
    ran = command("model", config, "--out", out, *TWO)
    assert ran.code == 1
    assert "ScorePipeline[scorer].forward on torchscript, example, other: " in ran.err
    assert {path.name for path in out.iterdir()} == {"scorer.pt2", "parity.json", "report.html"}
    assert "not written" in ran.out and "written: scorer.pt2, parity.json" in ran.out
    assert load_scorer(out / "scorer.pt2").contract.model == "tiny scorer"


FORMS = {
    "plain": lambda state: state,
    "wrapped": lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
    "parallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "compiled": lambda state: {
        "model": {f"_orig_mod.module.{name}": value for name, value in state.items()}
    },
    "no front end": lambda state: {
        name: value for name, value in state.items() if not name.startswith("frontend.")
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
def test_checkpoints_of_training_loops_load(own: Own, form: str, suffix: str) -> None:
    path = own.folder / f"weights{suffix}"
    torch.save(FORMS[form](own.state), path)
    pipeline = read_config(own.config()).pipeline
    load_checkpoint(pipeline, path)
    assert weights_sha256(pipeline.state_dict()) == weights_sha256(own.state)


def test_what_does_not_fit_is_listed_and_nothing_is_written(
    own: Own, tmp_path: Path, command: Command
) -> None:
    state = own.state
    state["encoder.out.weightt"] = state.pop("encoder.out.weight")
    state["head.mapper.weight"] = torch.zeros(7, 1)
    state["encoder.out.bias"] = torch.full((6,), float("nan"))
    options = ("--checkpoint", own.weights(state), "--out", tmp_path / "out", *TWO)
    ran = command("model", own.config(), *options)
    assert_refused(
        ran,
        "weights.safetensors: does not fit the model: ",
        "1 missing: encoder.out.weight;",
        "1 unexpected: encoder.out.weightt;",
        "1 of another shape: head.mapper.weight [7, 1] instead of [6, 1]",
        "1 not finite: encoder.out.bias",
    )
    assert not (tmp_path / "out").exists()


class Evil:
    def __reduce__(self) -> tuple:
        return (print, ("it ran",))


def test_checkpoints_that_cannot_be_read_are_one_line(own: Own, command: Command) -> None:
    (own.folder / "evil.pt").write_bytes(pickle.dumps({"weight": Evil()}))
    torch.save({"weight": Evil()}, own.folder / "evil.ckpt")
    (own.folder / "text.safetensors").write_text("none")
    (own.folder / "text.pt").write_text("none")
    torch.save([1, 2], own.folder / "list.pt")
    torch.save({"a": 3}, own.folder / "values.pt")
    (own.folder / "weights.bin").write_text("none")
    said = {
        "evil.pt": "not a checkpoint of plain tensors",
        "evil.ckpt": "weights_only=True",
        "text.safetensors": "not a safetensors file",
        "text.pt": "not a checkpoint of plain tensors",
        "list.pt": "contains no state dict",
        "values.pt": "contains no state dict",
        "weights.bin": "expected a name ending in .safetensors, .pt",
        "none.pt": "no such file",
    }
    for name, words in said.items():
        options = ("--checkpoint", own.folder / name, "--out", own.folder / "out", *TWO)
        ran = command("model", own.config(), *options)
        assert_refused(ran, name, words)
        assert "it ran" not in ran.out
    assert not (own.folder / "out").exists()


def test_a_counter_of_training_steps_may_be_missing(own: Own) -> None:
    head = "  type: ASoftmax\n  args:\n    embedding_dim: 6\ncalibration"
    start, end = CONFIG.index("  type: OCSoftmax"), CONFIG.index("calibration")
    config = own.config(CONFIG[start : end + len("calibration")], head)
    pipeline = read_config(config).pipeline
    state = {name: x for name, x in pipeline.state_dict().items() if name != "head.step"}
    load_checkpoint(pipeline, own.weights(state))
    del state["head.mapper.weight"]
    with pytest.raises(InputError, match=r"1 missing: head\.mapper\.weight"):
        load_checkpoint(pipeline, own.weights(state))


def test_several_heads_and_a_network_on_the_waveform(own: Own) -> None:
    text = """\
        window: {num_samples: 4200}
        encoder: {type: own_net.Wave}
        loss:
          - {type: OCSoftmax, embedding_dim: 6}
          - {type: AMSoftmax, embedding_dim: 6, weight: 0.5}
    """
    path = own.folder / "wave.yaml"
    path.write_text("\n".join(line[8:] for line in text.splitlines()))
    scorer = read_config(path)
    assert isinstance(scorer.pipeline.head, MultiLoss)
    assert scorer.about.hop == 2100
    assert scorer.pipeline(torch.randn(1, 4200)).shape == (1,)


WRONG = [
    ("alpha: 2e1", "alhpa: 2", "scorer.yaml:17: loss.args.alhpa: unknown argument of OCSoftmax; "),
    (
        "alpha: 2e1",
        "alpha: x",
        "scorer.yaml:17: loss.args.alpha: expected a number, got the string",
    ),
    ("    embedding_dim: 6\n", "", "scorer.yaml:15: loss.args.embedding_dim: missing argument"),
    ("type: OCSoftmax", "type: OCSoftmx", "scorer.yaml:14: loss.type: no loss is called OCSoftmx"),
    ("own_net.Tiny", "own_net.Tny", "scorer.yaml:10: encoder.type: own_net.Tny: own_net has no"),
    ("own_net.Tiny", "own_nett.Tiny", "scorer.yaml:10: encoder.type: own_nett: no such module"),
    ("own_net.Tiny", "Tiny", "scorer.yaml:10: encoder.type: expected a dotted path"),
    (
        "own_net.Tiny",
        "torch.pi",
        "scorer.yaml:10: encoder.type: torch.pi is not a class, but float",
    ),
    (
        "type: own_net.Tiny\n  args:\n    n_features: 8",
        "type: own_net.number",
        "scorer.yaml:10: encoder.type: own_net.number is not a torch.nn.Module class, nor",
    ),
    (
        "type: own_net.Tiny\n  args:\n    n_features: 8",
        "type: os.system\n  args:\n    command: echo it ran",
        "scorer.yaml:10: encoder.type: os.system is not a torch.nn.Module class, nor annotated",
    ),
    (
        "type: own_net.Tiny\n  args:\n    n_features: 8",
        "type: builtins.dict",
        "scorer.yaml:10: encoder.type: builtins.dict is not a torch.nn.Module class",
    ),
    ("name: tiny scorer", "name: 2024-99-99", "scorer.yaml: a value that is none: month must be"),
    ("name: tiny scorer", "name: " + "[" * 500 + "]" * 500, "nested more than 30 deep"),
    ("n_features: 8", "n_feature: 8", "scorer.yaml:12: encoder.args.n_feature: unknown argument"),
    ("n_features: 8", "n_features: 9", "scorer.yaml:9: encoder: the network fails on [1, 8, 32]: "),
    ("embedding_dim: 6", "embedding_dim: 5", "expected shape [B, 5], got [1, 6]"),
    ("type: LFCC", "type: LFC", "scorer.yaml:7: frontend.type: no front end is called LFC"),
    ("n_fft: 256", "nfft: 256", "scorer.yaml:8: frontend.args.nfft: unknown argument of LFCC"),
    (
        "n_fft: 256",
        "sample_rate: 8000",
        "scorer.yaml:8: frontend.args.sample_rate: expected 16000 as under sample_rate, got 8000",
    ),
    ("hop: 1500", "hop: 0", "scorer.yaml:5: window.hop: expected 1 or more, got 0"),
    ("num_samples", "samples", "scorer.yaml:4: window.samples: unknown argument of window"),
    ("prior: 0.2", "prior: 2", "scorer.yaml:22: calibration.prior: expected a probability"),
    ("scale: 7.5", "scale: -7.5", "scorer.yaml:19: calibration.scale: expected a value above 0"),
    ("threshold: 0.5", "threshold: .inf", "scorer.yaml:21: calibration.threshold: expected a fin"),
    ("sample_rate: 16000", "sample_rat: 1", "scorer.yaml:2: sample_rat: unknown argument of the"),
    ("sample_rate: 16000", "sample_rate: 0", "scorer.yaml:2: sample_rate: expected 1 or more"),
    ("encoder:", "encode:", "scorer.yaml:9: encode: unknown argument of the configuration; did"),
    ("hop: 1500", "hop: 1500\n  hop: 2", "scorer.yaml:6: window.hop: stands twice"),
    ("hop: 1500", "hop: [1500", "scorer.yaml:6: not YAML: expected"),
    ("hop: 1500", "? [hop]\n  : 1", "scorer.yaml:5: expected a plain key"),
    ("hop: 1500", "hop: !!python/object:os.system {}", "scorer.yaml:5: not YAML: could not"),
    ("window:\n", "window: &w\n  more: *w\n", "scorer.yaml: nested more than 30 deep"),
    (CONFIG, "", "scorer.yaml: expected a mapping, got NoneType"),
    (CONFIG, "- 1", "scorer.yaml: expected a mapping, got list"),
    (CONFIG, "#" * 1_000_001, "scorer.yaml: larger than 1000 KB"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said[:60] for _, _, said in WRONG])
def test_a_bad_configuration_is_one_line_with_file_and_line(
    old: str, new: str, said: str, own: Own, command: Command
) -> None:
    ran = command("model", own.config(old, new), "--out", own.folder / "out", *TWO)
    assert_refused(ran, f"{own.folder / 'scorer.yaml'}", said)
    assert not (own.folder / "out").exists()


def test_functions_that_make_a_module_are_taken_and_others_are_not_called(own: Own) -> None:
    import own_net

    from export.modules import makes_module

    assert makes_module(own_net.Tiny) and makes_module(own_net.annotated)
    assert makes_module(own_net.found) and makes_module(own_net.Tiny.small)
    for other in (own_net.number, own_net.sometimes, os.system, subprocess.run, dict, 3, print):
        assert not makes_module(other), other
    assert not makes_module(torch.hub.load)


def test_files_that_are_no_configuration_are_one_line(own: Own, command: Command) -> None:
    own.config().write_bytes(CONFIG.encode("utf-16"))
    out = own.folder / "out"
    assert_refused(command("model", own.folder / "scorer.yaml", "--out", out), "scorer.yaml")
    os.mkfifo(own.folder / "pipe.yaml")
    assert_refused(command("model", own.folder / "pipe.yaml", "--out", out), "not a regular file")


@pytest.mark.filterwarnings("ignore:.*quantiz")
@pytest.mark.filterwarnings("ignore:.*[Ss]parse")
@pytest.mark.filterwarnings("ignore:.*TypedStorage")
def test_weights_that_are_no_plain_tensors_are_named(own: Own, command: Command) -> None:
    weight = own.state["encoder.out.weight"]
    special = {
        "layout sparse_coo": weight.to_sparse(),
        "without values": weight.to("meta"),
        "float8_e4m3fn": weight.to(torch.float8_e4m3fn),
        "quantised": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
    }
    for said, tensor in special.items():
        path = own.folder / "weights.pt"
        torch.save(own.state | {"encoder.out.weight": tensor}, path)
        options = ("--checkpoint", path, "--out", own.folder / "out", *TWO)
        assert_refused(command("model", own.config(), *options), "weights.pt: ", said)


def test_a_head_with_several_scores_is_no_scorer(own: Own, command: Command) -> None:
    config = own.config("type: OCSoftmax", "type: AMSoftmax")
    config.write_text(config.read_text().replace("alpha: 2e1", "n_classes: 3"))
    ran = command("model", config, "--out", own.folder / "out", *TWO)
    assert_refused(ran, "loss: expected a head with one score for a window", "got [1, 3]")


def test_bad_use_is_one_line(own: Own, command: Command) -> None:
    out = own.folder / "out"
    out.write_text("in the way")
    assert_refused(command("model", own.config(), "--out", out), "is not a folder")
    assert_refused(command("model", own.folder / "no.yaml", "--out", own.folder / "a"), "no.yaml")
    options = ("--out", own.folder / "a", "--protocol", own.folder / "p.txt")
    assert_refused(command("model", own.config(), *options), "give --protocol and --audio together")
    options = ("--out", own.folder / "a", "--backend", "executorch_arm64")
    assert_refused(command("model", own.config(), *options), "runs another backend's file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "coremltools", None)
        options = ("--out", own.folder / "a", "--backend", "coreml")
        ran = command("model", own.config(), *options)
    assert_refused(ran, "backend: coreml: coremltools is not installed: pip install")
    assert not (own.folder / "a").exists()
    options = ("--out", own.folder / "a", "--module", own.folder / "none.py")
    assert_refused(command("model", own.config(), *options), "none.py: no such file")


def test_a_head_of_ones_own_goes_all_the_way(own: Own, command: Command) -> None:
    (own.folder / "own_head.py").write_text(
        "import torch\nfrom scriptable import OCSoftmax, register_loss\n\n"
        "@register_loss('Loud')\nclass Loud(OCSoftmax):\n"
        "    @torch.jit.export\n"
        "    def score(self, embeddings: torch.Tensor) -> torch.Tensor:\n"
        "        return 2.0 * self.mapper(embeddings).squeeze(1)\n"
    )
    config, out = own.config("type: OCSoftmax", "type: Loud"), own.folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scriptable.config._REGISTERED", {})
        options = ("--out", out, "--module", own.folder / "own_head.py", *TWO)
        ran = command("model", config, *options)
        assert ran.code == 0, ran
    sys.modules.pop("own_head")
    assert load_scorer(out / "scorer.pt").contract.model == "tiny scorer"
