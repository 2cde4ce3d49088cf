"""The front ends of public networks in XNNPACK: one delegate from the samples to the features."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from artefact_helpers import usable
from frontend_helpers import noise
from torch import nn

from export import backends
from export.backends import Source
from export.backends._executorch import operators
from scriptable import AudioToMelSpectrogramPreprocessor, Fbank, KaldiFbank, KaldiMFCC

# What is left: a dimension for the channel, its memory order, and the decibels' maximum.
ENTRY = {"aten::unsqueeze_copy", "dim_order_ops::_to_dim_order_copy"}
CASES: dict[str, tuple[Callable[[], nn.Module], int, set[str]]] = {
    "kaldi fbank": (lambda: KaldiFbank(subtract_mean=True, scale=32768.0), 1, set()),
    "kaldi fbank with energy": (lambda: KaldiFbank(use_energy=True), 1, set()),
    "kaldi mfcc": (lambda: KaldiMFCC(subtract_mean=True), 1, set()),
    "speechbrain": (lambda: Fbank(mean_norm=True, std_norm=True), 2, {"aten::amax"}),
    "nemo": (lambda: AudioToMelSpectrogramPreprocessor(features=40), 1, set()),
}


def delegates(path: Path) -> int:
    from executorch.exir._serialize._program import deserialize_pte_binary

    return len(deserialize_pte_binary(path.read_bytes()).program.execution_plan[0].delegates)


@pytest.mark.parametrize("name", CASES)
def test_one_delegate_takes_all(name: str, tmp_path: Path) -> None:
    backend = usable("executorch_xnnpack")
    make, pieces, more = CASES[name]
    frontend = make().eval()
    path = tmp_path / f"frontend{backend.suffix}"
    backends.save(backend, Source(frontend, {"forward": (noise(1),)}), path)
    assert set(operators(path)) <= ENTRY | more
    assert delegates(path) == pieces
    content = noise(1, seed=5)
    (features,) = backend.load(path).run("forward", (content,))
    with torch.no_grad():
        expected = frontend(content)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-4)
