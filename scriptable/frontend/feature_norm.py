"""Normalisation of features by statistics of the training audio."""

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_kinds, check_size


class FeatureNorm(nn.Module):
    r"""Mean and variance normalisation of each feature by constants, fitted once.

    .. math::
        y_{ft} = \frac{x_{ft} - \mu_f}{\sigma_f}

    Until :meth:`fit` is called, :math:`\mu_f = 0` and :math:`\sigma_f = 1`. The constants are
    buffers: they are saved and exported with the model. Features then have one scale, which
    arithmetic in 8 bits needs: of the cepstra of speech, the first spreads 30 times as wide as the
    last delta. Unlike :class:`CepstralNorm`, a frame does not depend on the others in its window.

    Args:
        n_features: number F of features per frame.

    Shape:
        - x: ``[B, F, T]``; result: the same.

    Raises:
        ValueError: if the features have another shape, or those to fit on are none or not finite.

    Reference:
        Viikki and Laurila, "Cepstral domain segmental feature vector normalization for noise robust
        speech recognition", Speech Communication 25, 1998, eq. 1, over the training audio in the
        place of a segment; ``InputNormalization`` of SpeechBrain with ``norm_type="global"``.

    Example:
        >>> features = torch.tensor([[[1.0, 3.0], [50.0, 70.0]]])
        >>> norm = FeatureNorm(2)
        >>> norm(features)
        tensor([[[ 1.,  3.],
                 [50., 70.]]])
        >>> norm.fit(features)(features)
        tensor([[[-1.,  1.],
                 [-1.,  1.]]])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        check_kinds(FeatureNorm.__init__, locals())
        super().__init__()
        check_size("n_features", n_features)
        self.n_features = n_features
        self.register_buffer("mean", torch.zeros(n_features, 1))
        self.register_buffer("scale", torch.ones(n_features, 1))

    def fit(self, features: Tensor) -> "FeatureNorm":
        """Take the statistics of features ``[B, F, T]``; one that is constant is only centred."""
        self.check("features", features)
        if features.numel() == 0:
            raise ValueError(f"features: expected a frame or more, got {list(features.shape)}")
        if not bool(torch.isfinite(features).all()):
            raise ValueError("features: expected finite numbers, got NaN or infinity among them")
        wide = features.detach().double()
        mean = wide.mean([0, 2]).unsqueeze(1)
        # About the mean, so that what is large beside its spread keeps its digits.
        spread = (wide - mean).square().mean([0, 2]).sqrt().unsqueeze(1)
        least = 1e-6 * mean.abs().clamp(min=1.0)
        with torch.no_grad():
            self.mean.copy_(mean)
            self.scale.copy_(torch.where(spread > least, 1.0 / spread.clamp(min=1e-30), 1.0))
        return self

    def check(self, name: str, x: Tensor) -> None:
        """Refuse other shapes."""
        if x.dim() != 3 or x.shape[1] != self.n_features:
            raise ValueError(
                f"{name}: expected shape [B, {self.n_features}, T], got {list(x.shape)}"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        self.check("x", x)
        return (x - self.mean) * self.scale
