"""Train a scorer on a corpus: the short loop behind ``python -m export demo``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import scriptable
from export.corpus import Utterance
from export.progress import Progress
from scriptable import (
    LFCC,
    CausalLightCNN,
    EmbeddingPipeline,
    ScorePipeline,
    StreamingScorePipeline,
    cut_windows,
)

HEADS: dict[str, Callable[[int], nn.Module]] = {
    "OCSoftmax": scriptable.OCSoftmax,
    "AMSoftmax": scriptable.AMSoftmax,
    "ASoftmax": scriptable.ASoftmax,
    "CrossEntropy": scriptable.CrossEntropy,
}


_HOP = 160
_HALF_LIFE = 4.0
"""Seconds after which the scorer of streams counts what it heard half."""
_PARTS = 2
"""Of each utterance in an epoch: about as many as it has windows."""
_PART_SECONDS = (1.0, 4.0)


@dataclass(frozen=True)
class Settings:
    """How the scorer is built and trained."""

    head: str = "OCSoftmax"
    sample_rate: int = 16000
    num_samples: int = 64600
    hop: int = 32300
    chunk_samples: int = 2560
    embedding_dim: int = 64
    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 2e-3
    seed: int = 0


def build_pipeline(settings: Settings) -> ScorePipeline:
    """LFCC with deltas, light CNN and the chosen head."""
    frontend = _cepstra(settings)
    encoder = scriptable.LightCNN(frontend.n_features, settings.embedding_dim)
    head = HEADS[settings.head](settings.embedding_dim)
    return ScorePipeline(frontend, encoder, head, settings.num_samples)


def build_stream(settings: Settings) -> StreamingScorePipeline:
    """The same front end and head, and the light CNN that never looks ahead, and forgets."""
    frontend = _cepstra(settings)
    half_life = _HALF_LIFE * settings.sample_rate / _HOP
    encoder = CausalLightCNN(frontend.n_features, settings.embedding_dim, half_life)
    head = HEADS[settings.head](settings.embedding_dim)
    return StreamingScorePipeline(frontend, encoder, head, settings.chunk_samples)


def _cepstra(settings: Settings) -> LFCC:
    return LFCC(
        sample_rate=settings.sample_rate,
        n_fft=512,
        win_length=320,
        hop_length=_HOP,
        n_filter=20,
        n_lfcc=20,
        log_lf=True,
        center=False,
        deltas=2,
    )


def build_embedder(settings: Settings) -> EmbeddingPipeline:
    """Log-mel energies, whose pitch and formants tell voices apart, and light CNN."""
    frontend = scriptable.LogMel(
        sample_rate=settings.sample_rate,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=40,
        center=False,
    )
    encoder = scriptable.LightCNN(frontend.n_features, settings.embedding_dim)
    return EmbeddingPipeline(frontend, encoder, settings.num_samples)


def train(settings: Settings, utterances: Sequence[Utterance], progress: Progress) -> ScorePipeline:
    """A trained pipeline in eval mode; the same on every run on the same machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        pipeline = build_pipeline(settings)
        labels = [utterance.label for utterance in utterances]
        batches = _shuffled(settings, *_features(pipeline.frontend, settings, utterances, labels))
        _fit(pipeline.encoder, pipeline.head, settings, batches, progress)
    return pipeline.eval()


def train_stream(
    settings: Settings, utterances: Sequence[Utterance], progress: Progress
) -> StreamingScorePipeline:
    """A trained scorer of streams in eval mode: it has heard parts from anywhere, of any length."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        pipeline = build_stream(settings)
        _fit(
            pipeline.encoder, pipeline.head, settings, _parts(settings, pipeline, utterances),
            progress,
        )  # fmt: skip
    return pipeline.eval()


def train_embedder(
    settings: Settings, utterances: Sequence[Utterance], progress: Progress
) -> EmbeddingPipeline:
    """An embedder trained to tell the utterances' speakers apart, in eval mode."""
    speakers = sorted({utterance.speaker for utterance in utterances})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        embedder = build_embedder(settings)
        head = scriptable.AMSoftmax(settings.embedding_dim, len(speakers), 0.2, 20.0)
        labels = [speakers.index(utterance.speaker) for utterance in utterances]
        batches = _shuffled(settings, *_features(embedder.frontend, settings, utterances, labels))
        _fit(embedder.encoder, head, settings, batches, progress)
    return embedder.eval()


def _fit(
    encoder: nn.Module,
    head: nn.Module,
    settings: Settings,
    batches: "Batches",
    progress: Progress,
) -> None:
    """Train encoder and head on batches of features and labels."""
    trainable = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(trainable, lr=settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * batches.count
    )
    encoder.train()
    head.train()
    for epoch in range(settings.epochs):
        progress("training", epoch, settings.epochs)
        for features, labels in batches.epoch():
            # Batch normalisation has no variance to learn from a single window.
            if len(labels) > 1:
                loss = head(encoder(features), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
    progress("training", settings.epochs, settings.epochs)


@dataclass(frozen=True)
class Batches:
    """So many batches of features and labels, drawn anew in every epoch."""

    count: int
    epoch: Callable[[], Iterable[tuple[Tensor, Tensor]]]


def _shuffled(settings: Settings, features: Tensor, labels: Tensor) -> Batches:
    """Windows in random order."""

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in torch.randperm(len(labels)).split(settings.batch_size):
            yield features[batch], labels[batch]

    return Batches(-(-len(labels) // settings.batch_size), epoch)


def _parts(
    settings: Settings, pipeline: StreamingScorePipeline, utterances: Sequence[Utterance]
) -> Batches:
    """Parts of the utterances, as long as each other in a batch, from a random sample on."""
    labels = torch.tensor([utterance.label for utterance in utterances] * _PARTS)
    bounds = [round(seconds * settings.sample_rate) for seconds in _PART_SECONDS]

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in torch.randperm(len(labels)).split(settings.batch_size):
            length = int(torch.randint(bounds[0], bounds[1] + 1, ()))
            chosen = [utterances[int(i) % len(utterances)].waveform for i in batch]
            with torch.no_grad():
                waveforms = torch.stack([_part(waveform, length) for waveform in chosen])
                features = pipeline.frontend(waveforms)
            yield features[:, :, : features.shape[2] - pipeline.delay], labels[batch]

    return Batches(-(-len(labels) // settings.batch_size), epoch)


def _part(waveform: Tensor, length: int) -> Tensor:
    """``length`` samples from anywhere; what is shorter is repeated."""
    if len(waveform) < length:
        waveform = waveform.repeat(-(-length // len(waveform)))
    start = int(torch.randint(len(waveform) - length + 1, ()))
    return waveform[start : start + length]


def _features(
    frontend: nn.Module,
    settings: Settings,
    utterances: Sequence[Utterance],
    classes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Features and class of every window; the front end has nothing to learn."""
    features, labels = [], []
    with torch.no_grad():
        for utterance, label in zip(utterances, classes, strict=True):
            windows = cut_windows(utterance.waveform, settings.num_samples, settings.hop)
            features.append(frontend(windows))
            labels += [label] * len(windows)
    return torch.cat(features), torch.tensor(labels)
