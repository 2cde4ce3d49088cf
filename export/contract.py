"""The score contract: one JSON document in every artefact that says what its score means.

The artefact returns the raw score of one window. Everything around it, from the microphone's
integers to the decision, is in the contract, so that implementations in other languages agree.
"""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

import scriptable
from export.errors import ArtefactError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Audio(_Part):
    """From a file's samples to one mono waveform in [−1, 1], in this order."""

    sample_rate: int = Field(gt=0, description="Hz, of the waveform that the model takes")
    pcm16_divisor: int = Field(default=32768, description="16-bit samples are divided by this")
    mixdown: Literal["mean"] = Field(default="mean", description="of the channels, first")
    resampler: Literal["sinc_interp_hann"] = Field(
        default="sinc_interp_hann",
        description="second: Hann-windowed sinc, as torchaudio.functional.resample names it",
    )
    resampler_lowpass_filter_width: int = Field(default=6, description="zero crossings a side")
    resampler_rolloff: float = Field(default=0.99, description="cut-off over the lower Nyquist")


class Windows(_Part):
    """From a waveform to the model's input, and from the windows' scores to one."""

    num_samples: int = Field(gt=0, description="samples N in a window")
    hop: int = Field(gt=0, description="samples from one window's start to the next's")
    tail: Literal["align_end"] = Field(
        default="align_end",
        description="samples left after the last whole window: one more window, ending with them",
    )
    short: Literal["repeat"] = Field(
        default="repeat", description="audio shorter than N: repeated from its start until N"
    )
    combine: Literal["mean"] = Field(default="mean", description="of the windows' raw scores")


class Decision(_Part):
    """From the raw score to a decision: accept when scale·score + offset ≥ threshold."""

    polarity: Literal["higher_is_bonafide"] = Field(
        default="higher_is_bonafide", description="of the raw score"
    )
    scale: float = Field(description="llr = scale·score + offset, in nats")
    offset: float = Field(description="in nats")
    prior: float = Field(gt=0, lt=1, description="probability of bona fide, for the posterior")
    threshold: float = Field(description="on the LLR; bona fide at or above it")
    operating_point: str = Field(description="what the threshold was chosen at, and on what")


class Contract(_Part):
    """The whole document."""

    schema_version: Literal[1] = Field(default=1, description="of this document")
    task: Literal["spoofing"] = Field(default="spoofing", description="what is decided")
    model: str = Field(description="front end, encoder and head, for people")
    audio: Audio
    windows: Windows
    decision: Decision
    versions: dict[str, str] = Field(description="of the packages that made the artefact")
    weights_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="over the named tensors, see weights_sha256()"
    )

    def llr(self, score: float) -> float:
        """Raw score → log-likelihood ratio in nats."""
        return self.decision.scale * score + self.decision.offset

    def decide(self, llr: float) -> Literal["bonafide", "spoof"]:
        """LLR → decision."""
        return "bonafide" if llr >= self.decision.threshold else "spoof"

    def posterior(self, llr: float) -> float:
        """LLR → probability of bona fide at the contract's prior."""
        return scriptable.posterior(llr, self.decision.prior)


def parse(text: str, name: str) -> Contract:
    """Read a contract; ``name`` is the file that it came from, for the error."""
    if not text:
        raise ArtefactError(f"{name}: has no score contract; export it with python -m export")
    try:
        return Contract.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise ArtefactError(f"{name}: score contract: {place}: {first['msg']}") from error


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the named tensors, in name order.

    For each tensor: its name in UTF-8, its shape as decimal sizes joined by commas, its dtype as
    torch spells it without ``torch.``, each followed by a line feed; then its elements in row-major
    order, little-endian.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        shape = ",".join(str(size) for size in tensor.shape)
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name}\n{shape}\n{dtype}\n".encode())
        values = tensor.numpy()
        digest.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of the packages that shape an artefact."""
    found = {"scriptable": scriptable.__version__}
    for package in ("torch", "torchaudio", "executorch", "coremltools"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
