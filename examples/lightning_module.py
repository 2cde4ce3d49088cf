"""A head of ours inside a LightningModule; run: python examples/lightning_module.py."""

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import corpus
from finish import build, finish


class SpoofModule(lightning.LightningModule):
    """The pipeline is one attribute: its loss in training, the whole of it afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = build()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Waveforms and labels → loss."""
        loss = self.pipeline.loss(*batch)
        self.log("loss", loss, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Say how it goes."""
        loss = self.trainer.callback_metrics["loss_epoch"]
        print(f"epoch {self.current_epoch + 1}: loss {loss:.3f}")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The head's centres are parameters of the module like any other."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main() -> None:
    """Train, then ship what the Trainer trained."""
    lightning.seed_everything(0, verbose=False)
    module = SpoofModule()
    train = DataLoader(TensorDataset(*corpus.draw(96, seed=0)), batch_size=16, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, train)
    finish(module.pipeline)


if __name__ == "__main__":
    main()
