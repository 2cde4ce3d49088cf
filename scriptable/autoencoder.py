"""Where ``.pt2`` files that were saved before the losses had a folder look for these types."""

from scriptable.losses.autoencoder import (
    AutoencoderLossDetails,
    AutoencoderOutput,
    VariationalAutoencoderLossDetails,
    VariationalAutoencoderOutput,
)

__all__ = [
    "AutoencoderLossDetails",
    "AutoencoderOutput",
    "VariationalAutoencoderLossDetails",
    "VariationalAutoencoderOutput",
]
