"""``export model`` with a network as it is: what it answers, what it holds, what it must not do."""

from pathlib import Path

import pytest
import torch
from artefact_helpers import Command, assert_refused
from network_helpers import config

from export.errors import InputError
from export.jobs.config_file import read_config
from export.runtime.scorer import load_scorer

TWO = ("--backend", "torchscript", "--backend", "torch_export")


pytestmark = pytest.mark.usefixtures("own_code")


@pytest.mark.parametrize(
    "encoder",
    [
        "{type: their_net.Base}",
        "{type: their_net.Pair, output: 1}",
        "{type: their_net.Pair, output: -1}",
        "{type: their_net.Named, output: logits}",
        "{type: their_net.Table, output: logits}",
        "{type: their_net.Configured, args: {d_args: {width: 6}}}",
        "{type: their_net.WithSettings, config: {type: their_net.Settings, args: {width: 6}}}",
        "[{type: their_net.Pair, output: 0}, {type: torch.nn.Linear, args: "
        "{in_features: 6, out_features: 2}}]",
    ],
)
def test_any_network_that_answers_logits_scores(encoder: str, tmp_path: Path) -> None:
    pipeline = read_config(config(tmp_path, encoder)).pipeline
    windows = torch.randn(3, 4000)
    with torch.no_grad():
        x = pipeline.encoder(windows)
        assert list(x.shape) == [3, 2]
        assert torch.equal(pipeline(windows), x[:, 1] - x[:, 0])


def test_features_with_time_first_and_embeddings_with_an_axis_too_many(tmp_path: Path) -> None:
    front = "frontend: {type: LFCC, args: {n_lfcc: 8, n_filter: 8, n_fft: 256}}\n"
    head = "{type: OCSoftmax, embedding_dim: 6}"
    path = config(tmp_path, "{type: their_net.TimeFirst, input: BTF}", head, front)
    pipeline = read_config(path).pipeline
    assert list(pipeline(torch.randn(2, 4000)).shape) == [2]
    path = config(tmp_path, "{type: their_net.TimeFirst}", head, front)
    with pytest.raises(InputError, match=r"theirs.yaml:1: encoder.input: .*runs with input: BTF"):
        read_config(path)


REFUSED = [
    (
        "{type: their_net.Pair}",
        "{type: Logits}",
        "theirs.yaml:1: encoder.output: encoder returned a tuple of [1, 6] and [1, 2]: choose with "
        "output: 0 or output: 1",
    ),
    (
        "{type: their_net.Table}",
        "{type: Logits}",
        "encoder.output: encoder returned a mapping of embedding [1, 6] and logits [1, 2] and "
        "count int: choose with output: embedding or output: logits",
    ),
    (
        "{type: their_net.Pair, output: 2}",
        "{type: Logits}",
        "which has no tensor 2: choose with output: 0 or output: 1",
    ),
    (
        "{type: their_net.Base, output: 0}",
        "{type: Logits}",
        "encoder.output: the network returned one tensor, [1, 2]: leave output out",
    ),
    (
        "{type: their_net.Base}",
        "{type: Logits, bonafide_column: 2}",
        "theirs.yaml:2: loss.bonafide_column: expected a column of the 2 logits, 0 to 1, got 2",
    ),
    (
        "{type: their_net.Base}",
        "{type: RawScore}",
        "theirs.yaml:2: loss: the head does not fit the encoder: values: expected shape [B] or "
        "[B, 1], got [1, 2]",
    ),
    (
        "{type: their_net.Base}",
        "{type: OCSoftmax, embedding_dim: 6}",
        "theirs.yaml:2: loss: the head does not fit the encoder: embeddings: expected shape",
    ),
    (
        "{type: their_net.Counts}",
        "{type: Logits}",
        "theirs.yaml:1: encoder: answers ",
    ),
    (
        "{type: their_net.Batchy}",
        "{type: Logits}",
        "encoder: the score of a window changes with the batch around it: ",
    ),
    (
        "{type: their_net.NotANumber}",
        "{type: Logits}",
        "theirs.yaml:1: encoder: answers nan, first in encoder.log (Bad)",
    ),
    (
        "{type: their_net.Long}",
        "{type: Logits}",
        "theirs.yaml:3: window.num_samples: the network fails on [1, 4000]: ",
    ),
]


@pytest.mark.parametrize(("encoder", "loss", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_shipped_is_one_line_with_the_keys_place(
    encoder: str, loss: str, said: str, tmp_path: Path, command: Command
) -> None:
    ran = command("model", config(tmp_path, encoder, loss), "--out", tmp_path / "out", *TWO)
    assert_refused(ran, said)
    assert not (tmp_path / "out").exists()


def test_the_least_length_and_the_line_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"their_net.py:\d+\); it needs 5000 samples or more"):
        read_config(config(tmp_path, "{type: their_net.Long}"))


def test_state_between_calls_is_said_as_such(tmp_path: Path) -> None:
    scorer = read_config(config(tmp_path, "{type: their_net.Counts}"))
    with pytest.raises(InputError, match="it keeps state between calls"):
        scorer.check()


def test_noise_is_reported_with_its_module_and_its_line(tmp_path: Path, command: Command) -> None:
    path, out = config(tmp_path, "{type: their_net.Noisy}"), tmp_path / "out"
    ran = command("model", path, "--out", out, "--backend", "trace")
    assert ran.code == 1
    line = next(
        i
        for i, text in enumerate((tmp_path / "their_net.py").read_text().splitlines(), 1)
        if "randn_like" in text
    )
    where = f"in encoder (Noisy), {tmp_path / 'their_net.py'}:{line}"
    assert f"a second run gives another result: randn_like {where}" in ran.err
    assert f"note: the model draws random numbers in eval mode: randn_like {where}" in ran.out


def test_a_failing_cell_names_the_line_of_the_network(tmp_path: Path, command: Command) -> None:
    path, out = config(tmp_path, "{type: their_net.Branches}"), tmp_path / "out"
    net = tmp_path / "their_net.py"
    net.write_text(
        net.read_text() + "\n\nclass Branches(Base):\n    def forward(self, x, *more):\n"
        "        if x.sum() > 1e9:\n            return self.out(self.hidden(x))\n"
        "        return -self.out(self.hidden(x))\n"
    )
    number = net.read_text().splitlines().index("        if x.sum() > 1e9:") + 1
    ran = command("model", path, "--out", out, "--backend", "torch_export")
    assert ran.code == 1
    assert f"({net}:{number})" in ran.err
    ran = command("model", path, "--out", out, "--backend", "torchscript", "--backend", "lite")
    scripted, lite = (
        next(line for line in ran.err.splitlines() if f"on {name}, example" in line)
        for name in ("torchscript", "lite")
    )
    # The same reason, not that a method cannot be defined twice.
    assert scripted.partition(": ")[2] == lite.partition(": ")[2]


def test_weight_norm_goes_into_the_weights_and_the_module_stays_as_it_was(
    tmp_path: Path, command: Command
) -> None:
    path, out = config(tmp_path, "{type: their_net.Normed}"), tmp_path / "out"
    pipeline = read_config(path).pipeline
    torch.save(pipeline.state_dict(), tmp_path / "weights.pt")
    ran = command("model", path, "--checkpoint", tmp_path / "weights.pt", "--out", out, *TWO)
    assert ran.code == 0, ran
    window = 0.1 * torch.randn(1, 4000)
    with torch.no_grad():
        expected = float(pipeline(window))
    for name in ("scorer.pt", "scorer.pt2"):
        assert load_scorer(out / name).score_waveform(window[0]) == pytest.approx(expected, 1e-4)


def test_what_cannot_be_copied_is_shipped_all_the_same(tmp_path: Path, command: Command) -> None:
    path = config(tmp_path, "{type: their_net.Locked}")
    assert command("model", path, "--out", tmp_path / "out", "--backend", "trace").code == 0


def test_a_file_whose_weights_are_not_the_contracts_is_a_failed_cell(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.backends._torchscript import TorchScriptArtefact

    weights = TorchScriptArtefact.weights

    def renamed(self: TorchScriptArtefact) -> dict[str, torch.Tensor] | None:
        return {f"x.{name}": value for name, value in (weights(self) or {}).items()}

    monkeypatch.setattr(TorchScriptArtefact, "weights", renamed)
    path, out = config(tmp_path, "{type: their_net.Base}"), tmp_path / "out"
    ran = command("model", path, "--out", out, *TWO)
    assert ran.code == 1
    assert "on torchscript, example, other: its weights are not the ones of its con" in ran.err
    assert "on torch_export" not in ran.err
    assert load_scorer(out / "scorer.pt2").contract.model == "Identity + Base + Logits"


def test_a_tiny_wav2vec2_exports_and_its_files_score(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("torchaudio")
    encoder = """
  type: torchaudio.models.wav2vec2_model
  args:
    extractor_mode: group_norm
    extractor_conv_layer_config: [[16, 10, 5], [16, 8, 4]]
    extractor_conv_bias: false
    encoder_embed_dim: 16
    encoder_projection_dropout: 0.1
    encoder_pos_conv_kernel: 8
    encoder_pos_conv_groups: 2
    encoder_num_layers: 1
    encoder_num_heads: 2
    encoder_attention_dropout: 0.1
    encoder_ff_interm_features: 32
    encoder_ff_interm_dropout: 0.1
    encoder_dropout: 0.1
    encoder_layer_norm_first: false
    encoder_layer_drop: 0.1
    aux_num_out: null
  output: 0
  frames: BTD"""
    path, out = config(tmp_path, encoder, "{type: CrossEntropy, embedding_dim: 16}"), tmp_path / "o"
    ran = command("model", path, "--out", out, *TWO, "--backend", "trace")
    assert ran.code == 0, ran
    pipeline = read_config(path).pipeline
    # Scripting takes the weight norm of the module that it is given away.
    assert any("weight_g" in name or "parametrizations" in name for name in pipeline.state_dict())
    window = 0.1 * torch.randn(1, 4000)
    with torch.no_grad():
        expected = float(pipeline(window))
    for name in ("scorer.pt", "scorer.trace.pt", "scorer.pt2"):
        assert load_scorer(out / name).score_waveform(window[0]) == pytest.approx(expected, 1e-4)
