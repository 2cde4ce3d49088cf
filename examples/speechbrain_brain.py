"""A head of ours inside SpeechBrain's training loop; run: python examples/speechbrain_brain.py."""

from typing import Any

import torch
from speechbrain.core import Brain, Stage
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import corpus
from finish import build, finish


class SpoofBrain(Brain):
    """``compute_forward`` ends at the embedding: the head takes it from there."""

    def compute_forward(self, batch: Any, stage: Stage) -> Tensor:
        """Waveforms → embeddings."""
        waveforms, _ = batch
        return self.modules.encoder(self.modules.frontend(waveforms.to(self.device)))

    def compute_objectives(self, predictions: Tensor, batch: Any, stage: Stage) -> Tensor:
        """Embeddings → loss; the head holds projection, margin and scale."""
        _, labels = batch
        return self.modules.head(predictions, labels.to(self.device))

    def on_stage_end(self, stage: Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Say how it goes."""
        if stage == Stage.TRAIN:
            print(f"epoch {epoch}: loss {stage_loss:.3f}")


def main() -> None:
    """Train, then ship what the Brain trained."""
    torch.manual_seed(0)
    pipeline = build()
    brain = SpoofBrain(
        modules=dict(pipeline.named_children()),  # frontend, encoder, head
        opt_class=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
        run_opts={"device": "cpu"},
    )
    train = DataLoader(TensorDataset(*corpus.draw(96, seed=0)), batch_size=16, shuffle=True)
    brain.fit(range(1, 5), train, progressbar=False)
    finish(pipeline)


if __name__ == "__main__":
    main()
