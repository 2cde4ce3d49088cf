"""AASIST: the published networks' weights and logits, its filters, its edges, every way to ship."""

import copy
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from export.speech import speech_files
from scriptable import AASIST
from scriptable.encoders._aasist_graph import GraphAttention, GraphPool, HeterogeneousAttention
from scriptable.encoders._aasist_layers import ResidualBlock, sinc_filters

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("SCRIPTABLE_MODELS", ROOT.parent / "shared" / "data" / "models"))
VARIANTS = ("AASIST", "AASIST-L")
SHORT = 4700


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def published(variant: str) -> AASIST:
    path = MODELS / f"{variant}.pth"
    if not path.is_file():
        pytest.skip(
            f"no {path}: point SCRIPTABLE_MODELS at a folder with models/weights of "
            "github.com/clovaai/aasist and aasist_logits.json"
        )
    model = AASIST(variant)
    state = torch.load(path, map_location="cpu", weights_only=True)
    assert model.state_dict().keys() - state.keys() == {"sinc.filters"}
    model.load_state_dict(state, strict=True)
    return model.eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_published_weights_give_the_published_logits(variant: str) -> None:
    model = published(variant)
    document = json.loads((MODELS / "aasist_logits.json").read_text())["models"][variant]
    assert sum(p.numel() for p in model.parameters()) == document["parameters"]
    audio = {f"{path.parent.name}/{path.name}": path for path in speech_files()}
    if not document["logits"].keys() <= audio.keys():
        pytest.skip("no real speech: point SCRIPTABLE_SPEECH at the recordings of the logits")
    for name, expected in list(document["logits"].items())[::2]:
        waveform = torch.from_numpy(soundfile.read(audio[name], dtype="float32")[0])
        window = waveform.repeat(64600 // waveform.numel() + 1)[:64600].unsqueeze(0)
        with torch.no_grad():
            logits = model(window)[0]
        assert float((logits - torch.tensor(expected)).abs().max()) <= 1e-4, name


def test_weights_of_the_other_variant_are_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for pos_S"):
        AASIST("AASIST-L").load_state_dict(AASIST("AASIST").state_dict())
    with pytest.raises(ValueError, match=r"variant: expected one of \['AASIST', 'AASIST-L'\]"):
        AASIST("aasist")


def test_the_filters_are_adjacent_bands_on_the_mel_scale() -> None:
    filters = sinc_filters(70, 129, 16000)[:, 0].double().numpy()
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 71)
    edges = 700 * (10 ** (mel / 2595) - 1)
    n = np.arange(-64, 65)
    low_pass = [2 * f / 16000 * np.sinc(2 * f * n / 16000) for f in edges]
    for i, actual in enumerate(filters):
        expected = (low_pass[i + 1] - low_pass[i]) * np.hamming(129)
        np.testing.assert_allclose(actual, expected, atol=3e-7)
    gain = np.abs(np.fft.rfft(filters, 16000))
    for i in (20, 40, 69):
        centre = int((edges[i] + edges[i + 1]) / 2)
        assert gain[i, centre] == gain[:, centre].max()


def test_graph_attention_equals_a_loop() -> None:
    layer = GraphAttention(3, 4, temperature=2.0).double().eval()
    nodes = torch.randn(2, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        actual = layer(nodes)
        for b in range(2):
            for i in range(5):
                energy = torch.stack(
                    [
                        (torch.tanh(layer.att_proj(nodes[b, i] * nodes[b, j])) @ layer.att_weight)
                        for j in range(5)
                    ]
                ).squeeze(1)
                weights = torch.softmax(energy / 2.0, 0)
                mixed = layer.proj_with_att(sum(w * h for w, h in zip(weights, nodes[b])))  # noqa: B905
                expected = mixed + layer.proj_without_att(nodes[b, i])
                expected = torch.selu(expected / (1 + layer.bn.eps) ** 0.5)
                torch.testing.assert_close(actual[b, i], expected, atol=1e-12, rtol=0)


def test_joint_attention_compares_each_pair_of_kinds_along_its_own_vector() -> None:
    layer = HeterogeneousAttention(3, 4, temperature=0.5).double().eval()
    nodes = torch.randn(1, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        attention = layer.attention(nodes, 2)
        for i in range(5):
            vectors = [
                {0: layer.att_weight11, 1: layer.att_weight12, 2: layer.att_weight22}[
                    int(i >= 2) + int(j >= 2)
                ]
                for j in range(5)
            ]
            energy = torch.cat(
                [
                    torch.tanh(layer.att_proj(nodes[0, i] * nodes[0, j])) @ vectors[j]
                    for j in range(5)
                ]
            )
            torch.testing.assert_close(
                attention[0, i], torch.softmax(energy / 0.5, 0), atol=1e-12, rtol=0
            )


def test_pooling_keeps_the_best_share_in_order() -> None:
    pool = GraphPool(0.5, 2).eval()
    with torch.no_grad():
        pool.proj.weight.copy_(torch.tensor([[1.0, 0.0]]))
        pool.proj.bias.zero_()
    nodes = torch.tensor([[[1.0, 5.0], [3.0, 6.0], [-2.0, 7.0], [2.0, 8.0], [0.0, 9.0]]])
    kept = pool(nodes)
    order = torch.tensor([1, 3])
    expected = nodes[:, order] * torch.sigmoid(nodes[:, order, :1])
    torch.testing.assert_close(kept, expected)
    assert GraphPool(0.1, 2)(nodes).shape == (1, 1, 2)


def test_a_block_takes_its_input_as_the_published_networks_do() -> None:
    block = ResidualBlock(4, 4, first=False).eval()
    x = torch.randn(2, 4, 5, 9)
    before = block(x)
    torch.nn.init.constant_(block.bn1.weight, 7.0)
    assert torch.equal(block(x), before)
    assert before.shape == (2, 4, 5, 3)


def test_every_parameter_that_is_run_through_learns() -> None:
    model = AASIST("AASIST-L").train()
    logits = model(0.1 * torch.randn(4, SHORT))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {
        f"encoder.{i}.0.bn1.{kind}" for i in range(1, 6) for kind in ("weight", "bias")
    }
    for name, p in model.named_parameters():
        assert p.grad is None or bool(p.grad.isfinite().all()), name


@pytest.mark.parametrize("content", ["silence", "square", "quiet"])
def test_edges_are_finite(content: str) -> None:
    model = AASIST("AASIST-L").eval()
    waveform = torch.zeros(2, SHORT)
    if content == "square":
        waveform[:, ::2] = 1.0
    if content == "quiet":
        waveform = 1e-20 * torch.randn(2, SHORT)
    waveform.requires_grad_()
    logits = model(waveform)
    (gradient,) = torch.autograd.grad(logits.sum(), waveform)
    assert bool(logits.isfinite().all()) and bool(gradient.isfinite().all())


def test_items_do_not_see_each_other() -> None:
    model = AASIST("AASIST-L").eval()
    waveform = 0.1 * torch.randn(3, SHORT)
    with torch.no_grad():
        alone = torch.cat([model(item.unsqueeze(0)) for item in waveform])
        torch.testing.assert_close(model(waveform), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(SHORT,), (2, 2314), (1, 1, SHORT)])
def test_bad_waveforms_are_named(shape: tuple[int, ...]) -> None:
    model = AASIST("AASIST-L").eval()
    with pytest.raises(ValueError, match=r"waveform: expected shape \[B, N\].*") as caught:
        model(torch.zeros(shape))
    assert str(caught.value).endswith(f"got {list(shape)}")
    with pytest.raises(torch.jit.Error, match=re.escape(f"got {list(shape)}")):
        torch.jit.script(model)(torch.zeros(shape))
    assert model(torch.zeros(1, 2315)).shape == (1, 2)


def reloaded(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_script_trace_and_export_run_on_other_content() -> None:
    model = AASIST("AASIST-L").eval()
    state = copy.deepcopy(model.state_dict())

    def drawn() -> Tensor:
        return 0.1 * torch.randn(2, SHORT)

    program = torch.export.export(model, (drawn(),)).module()
    shipped = [
        reloaded(torch.jit.script(model)),
        reloaded(torch.jit.trace(model, drawn())),
        program,
    ]
    content = drawn()
    with torch.no_grad():
        expected = model(content)
        for other in shipped:
            torch.testing.assert_close(other(content), expected, atol=1e-6, rtol=0)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
