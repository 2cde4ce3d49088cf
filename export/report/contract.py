"""The contract as the report shows it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from export.runtime.contract import AnyContract


def described(contract: "AnyContract | None") -> dict[str, Any] | None:
    """The contract's fields with their own descriptions, part by part."""
    if contract is None:
        return None
    from pydantic import BaseModel

    whole: list[dict[str, str]] = []
    parts = []
    for name, value, description in _fields(contract):
        if value is None:
            continue
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").strip().partition("\n")[0]
            fields = [_field(*field) for field in _fields(value)]
            parts.append({"name": name, "about": about, "fields": fields})
        elif name != "versions":
            whole.append(_field(name, value, description))
    parts.append({"name": "document", "about": "What the document describes.", "fields": whole})
    return {
        "parts": parts,
        "rule": _rule(contract),
        "versions": contract.versions,
        "json": contract.model_dump_json(indent=2),
    }


def _rule(contract: "AnyContract") -> list[str]:
    """From the microphone to the decision, in sentences."""
    decision = contract.decision
    spoofs = contract.task in ("spoofing", "streaming")
    at, below = ("Bona fide", "spoof") if spoofs else ("Same", "different")
    return [
        _cutting_rule(contract),
        *_guard_rule(contract),
        *_score_rule(contract),
        *_calibration_rule(contract),
        f"{at} when LLR ≥ {decision.threshold:.6g}, else {below} ({decision.operating_point}).",
        f"Posterior at a prior of {decision.prior:g}: "
        f"{contract.posterior(decision.threshold):.3g} at the threshold.",
    ]


def _cutting_rule(contract: "AnyContract") -> str:
    """What of the waveform the model is given at a time."""
    rate = contract.audio.sample_rate
    if contract.task == "streaming":
        size = contract.stream.chunk_samples
        what = f"in chunks of {size} samples ({size / rate:.3g} s), each with the last one's state"
    else:
        windows = contract.windows
        seconds = windows.num_samples / rate
        what = (
            f"in windows of {windows.num_samples} samples ({seconds:.3g} s), "
            f"one every {windows.hop} samples"
        )
    return f"Mono waveform at {rate} Hz, {what}."


def _calibration_rule(contract: "AnyContract") -> list[str]:
    """From the raw score to the LLR."""
    if contract.task != "streaming":
        return [f"LLR = {_line(contract.decision.scale, contract.decision.offset)} nats."]
    rate = contract.audio.sample_rate
    return [
        f"After {row.samples / rate:.3g} s: LLR = {_line(row.scale, row.offset)} nats."
        for row in contract.decision.calibration
    ]


def _line(scale: float, offset: float) -> str:
    return f"{scale:.6g} · score {'+' if offset >= 0 else '−'} {abs(offset):.6g}"


def _guard_rule(contract: "AnyContract") -> list[str]:
    """What is left undecided."""
    guards = contract.guards
    if guards is None:
        return []
    return [
        f"Undecided when shorter than {guards.min_seconds:g} s, quieter than "
        f"{guards.min_level_dbfs:g} dBFS, clipped, a pure tone, or out of scale."
    ]


def _score_rule(contract: "AnyContract") -> list[str]:
    """From the windows to the raw score."""
    if contract.task == "streaming":
        return ["Score = the model's own, of all that was heard since the stream began."]
    if contract.task == "spoofing":
        return [f"Score = {contract.windows.combine} of the windows' raw scores."]
    scoring = contract.scoring  # type: ignore[union-attr]
    normalised = ""
    if scoring.normalisation != "none":
        normalised = (
            f", AS-norm over the top {scoring.top_n} of {scoring.cohort_size} in the cohort"
        )
    mean = "embeddings" if scoring.enrolment == "mean" else "unit vectors, at length 1"
    backend = {"cosine": "cosine", "plda": "PLDA's log-likelihood ratio"}[scoring.backend]
    lines = [
        f"Embedding = mean of the windows' {mean}; enrolment works the same way.",
        f"Score = {backend} of enrolment and test{normalised}.",
    ]
    if contract.task == "sasv":
        lines.append("The spoofing score is fused into it: a spoof of the speaker does not match.")
    return lines


def _fields(model: "BaseModel") -> Iterable[tuple[str, Any, str]]:
    for name, info in type(model).model_fields.items():
        yield name, getattr(model, name), info.description or ""


def _field(name: str, value: object, description: str) -> dict[str, str]:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return {"name": name, "value": text, "description": description}
