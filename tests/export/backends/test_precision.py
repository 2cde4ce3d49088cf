"""Encoders in half precision and in 8 bits: what is written, and what it answers."""

from pathlib import Path

import pytest
import torch
from artefact_helpers import WINDOW, tiny_pipeline, usable, voice

from export import backends
from export.backends import Source
from export.backends._precision import (
    PRECISIONS,
    encoding_parts,
    quantised,
    reduced,
)
from export.files import artefact_bytes
from scriptable import (
    LFCC,
    EmbeddingPipeline,
    LightCNN,
    SASVPipeline,
    SASVScore,
    ScorePipeline,
)

CALIBRATION = torch.stack([voice(WINDOW, 90.0 + 20 * i, seed=i) for i in range(8)])
CAPABLE = [
    (name, precision)
    for name, backend in backends.all_backends().items()
    for precision in backend.precisions
    if precision != "float32" and not backend.emulated
]


def source() -> Source:
    return Source(tiny_pipeline(), {"forward": (torch.zeros(1, WINDOW),)})


def test_who_can_write_what() -> None:
    assert set(CAPABLE) == {
        ("executorch_xnnpack", "mixed16"),
        ("executorch_xnnpack", "int8"),
        ("coreml", "mixed16"),
        ("onnx", "mixed16"),
    }
    for backend in backends.all_backends().values():
        assert backend.precisions[0] == "float32" and set(backend.precisions) <= set(PRECISIONS)


@pytest.mark.parametrize(("name", "precision"), CAPABLE)
def test_a_smaller_file_answers_nearly_alike_on_other_content(
    name: str, precision: str, tmp_path: Path
) -> None:
    backend, plain = usable(name), source()
    before = {key: value.clone() for key, value in plain.module.state_dict().items()}
    paths = {kind: tmp_path / f"{kind}{backend.suffix}" for kind in ("float32", precision)}
    for kind, path in paths.items():
        backends.save(backend, plain.in_precision(kind, CALIBRATION), path)
    after = plain.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert artefact_bytes(paths[precision]) < artefact_bytes(paths["float32"])
    artefact = backend.load(paths[precision])
    for seed in (20, 21):
        window = voice(WINDOW, 160.0, seed=seed).unsqueeze(0)
        with torch.no_grad():
            expected = plain.module(window)
        (score,) = artefact.run("forward", (window,))
        assert score.dtype == torch.float32 and score.shape == expected.shape
        error = float((score - expected).abs())
        # It computes with fewer bits, and not by far: neither float32 nor something else.
        assert 1e-7 < error < (0.01 if precision == "mixed16" else 0.1)


def test_integers_survive_to_the_lowered_program_and_small_layers_stay_float() -> None:
    usable("executorch_xnnpack")
    program = reduced(source().in_precision("int8", CALIBRATION).apart()).lowerable("forward")
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    convolutions = [node for node in calls if "conv" in str(node.target)]
    weights = {
        tuple(node.args[1].meta["val"].shape): "dequantize" in str(node.args[1].target)
        for node in convolutions
    }
    encoder = {shape: eight for shape, eight in weights.items() if shape[0] in (32, 48, 64)}
    eight = {shape for shape in encoder if encoder[shape]}
    assert eight >= {(48, 16, 3, 3), (64, 24, 3, 3)}
    assert encoder.keys() - eight >= {(32, 1, 5, 5), (32, 16, 1, 1), (48, 24, 1, 1)}
    names = [str(node.target) for node in program.graph.nodes]
    assert any("quantize_per_tensor" in name for name in names)


def test_depthwise_convolutions_are_integers_and_those_of_one_channel_are_not() -> None:
    usable("executorch_xnnpack")
    encoder = torch.nn.Sequential(
        torch.nn.Conv1d(1, 256, 9), torch.nn.ReLU(), torch.nn.Conv1d(256, 256, 9, groups=256)
    )
    module = quantised(encoder.eval(), [torch.randn(1, 1, 40) for _ in range(3)])
    eight = [
        "dequantize" in str(node.args[1].target)
        for node in module.graph.nodes
        if node.op == "call_function" and "conv1d" in str(node.target)
    ]
    assert eight == [False, True]


def test_int8_needs_audio(tmp_path: Path) -> None:
    backend = usable("executorch_xnnpack")
    path = tmp_path / f"x{backend.suffix}"
    with pytest.raises(ValueError, match=r"^calibration: int8 needs windows of audio"):
        backends.save(backend, source().in_precision("int8"), path)
    assert not path.exists()


def test_every_encoder_of_a_module_is_found() -> None:
    def front() -> LFCC:
        return LFCC(n_fft=256, win_length=256, n_filter=8, n_lfcc=8)

    speaker = EmbeddingPipeline(front(), LightCNN(8, 8), WINDOW)
    tiny = tiny_pipeline()
    both = SASVPipeline(speaker, tiny, SASVScore(8.0, -2.0, 5.0, 0.5, 0.3))
    assert set(encoding_parts(both)) == {"speaker", "countermeasure"}
    assert isinstance(tiny, ScorePipeline) and encoding_parts(tiny) == {"": tiny}
    with pytest.raises(
        ValueError, match=r"^precision: expected a module with frontend and encoder"
    ):
        encoding_parts(torch.nn.Linear(2, 2))


def test_core_ml_halves_the_encoder_of_a_verifier(tmp_path: Path) -> None:
    backend = usable("coreml")
    tiny = tiny_pipeline()
    speaker = EmbeddingPipeline(tiny.frontend, tiny.encoder, WINDOW).eval()
    pair = (torch.randn(1, 8), torch.randn(1, 8))
    plain = Source(speaker, {"forward": (torch.zeros(1, WINDOW),), "verify": pair})
    path = tmp_path / f"x{backend.suffix}"
    backends.save(backend, plain.in_precision("mixed16"), path)
    artefact, window = backend.load(path), voice(WINDOW, 120.0, seed=3).unsqueeze(0)
    (embedding,) = artefact.run("forward", (window,))
    with torch.no_grad():
        error = float((embedding - speaker(window)).abs().max())
    assert 1e-6 < error < 0.01
    # The converter's own choice of an output's type would round it.
    assert [x.dtype for x in artefact.functions["forward"]([window])] == [torch.float32]
    (score,) = artefact.run("verify", pair)
    torch.testing.assert_close(score, speaker.verify(*pair), rtol=0, atol=1e-6)  # no encoder in it
