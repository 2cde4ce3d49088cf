"""Probabilistic linear discriminant analysis (PLDA): the scorer that ships."""

from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_flag
from scriptable._core.numeric import at_least_float32, unit
from scriptable.scoring.cosine import check_pair


def plda_score(enrolled: Tensor, test: Tensor, between: Tensor) -> Tensor:
    r"""Two-covariance LLR in the basis where the within-speaker covariance is the identity.

    With M enrolled vectors of mean :math:`\bar e`, the speaker's posterior is normal with mean
    :math:`m = \frac{M\psi}{1 + M\psi} \bar e`, and a vector of that speaker has the variance
    :math:`v = 1 + \frac{\psi}{1 + M\psi}`; of an unknown speaker it is :math:`1 + \psi`:

    .. math::
        \mathrm{llr} = \sum_k \log \mathcal N(t_k; m_k, v_k) - \log \mathcal N(t_k; 0, 1 + \psi_k)

    Args:
        enrolled: ``[N, K]`` (M = 1) or ``[N, M, K]``.
        test: ``[B, K]``.
        between: ψ, the between-speaker variances, ``[K]``.

    Returns:
        ``[B, N]`` in nats.

    Raises:
        ValueError: on wrong shapes.

    Reference:
        Ioffe, "Probabilistic Linear Discriminant Analysis", 2006; several enrolled vectors are
        scored by the book, not averaged and taken for one.

    Example:
        >>> enrolled, between = torch.tensor([[2.0], [-1.0]]), torch.tensor([4.0])
        >>> plda_score(enrolled, torch.tensor([[2.0]]), between)
        tensor([[ 0.8664, -1.2670]])
    """
    check_pair(enrolled, test)
    if between.dim() != 1 or between.shape[0] != test.shape[1]:
        raise ValueError(f"between: expected shape [{test.shape[1]}], got {list(between.shape)}")
    count = 1.0
    mean = enrolled
    if enrolled.dim() == 3:
        count = float(enrolled.shape[1])
        mean = enrolled.mean(1)
    total = 1.0 + between
    gain = count * between / (1.0 + count * between)
    variance = 1.0 + between / (1.0 + count * between)
    expected = mean * gain
    on_test = (test.square() * (1.0 / total - 1.0 / variance)).sum(1)
    on_enrolled = (expected.square() / variance).sum(1)
    cross = test @ (expected / variance).transpose(0, 1)
    constant = (torch.log(total) - torch.log(variance)).sum()
    return cross + 0.5 * (on_test.unsqueeze(1) - on_enrolled.unsqueeze(0) + constant)


class PLDA(nn.Module):
    r"""Two-covariance PLDA scorer: centring, LDA, length normalisation and LLR in one module.

    An embedding :math:`x` is taken through :math:`x - c`, :math:`A^T(x - c)` where there is an LDA,
    and to length one; what comes out is modelled as :math:`\mu + y + \varepsilon`,
    :math:`y \sim \mathcal N(0, B)` the speaker, :math:`\varepsilon \sim \mathcal N(0, W)` the
    utterance. The covariances are diagonalised together at construction and :func:`plda_score`
    does the rest. :func:`fit_plda` fits all of it.

    Args:
        mean: μ, ``[K]``.
        within: W, ``[K, K]``, positive definite.
        between: B, ``[K, K]``, positive semidefinite.
        centre: c, ``[D]``; none by default.
        lda: A, ``[D, K]``; none by default, and then D = K.
        length_norm: whether vectors are brought to length one.

    Shape:
        - enrolled: ``[N, D]`` or ``[N, M, D]``; test: ``[B, D]``; result: ``[B, N]``, in nats,
          higher = more the same speaker.

    Raises:
        ValueError: on wrong shapes, or matrices that are not covariances.

    Reference:
        Brümmer, de Villiers, "The Speaker Partitioning Problem", 2010 (two-covariance model);
        García-Romero, Espy-Wilson, "Analysis of i-vector length normalization", 2011.

    Example:
        >>> plda = PLDA(torch.zeros(2), torch.eye(2), 4 * torch.eye(2), length_norm=False)
        >>> plda(torch.tensor([[2.0, 0.0]]), torch.tensor([[2.0, 0.0], [-2.0, 1.0]]))
        tensor([[ 1.3772],
                [-2.3561]])
    """

    length_norm: Final[bool]
    centre: Tensor
    lda: Tensor
    mean: Tensor
    transform: Tensor
    between: Tensor

    def __init__(
        self,
        mean: Tensor,
        within: Tensor,
        between: Tensor,
        centre: Optional[Tensor] = None,
        lda: Optional[Tensor] = None,
        length_norm: bool = True,
    ) -> None:
        super().__init__()
        check_flag("length_norm", length_norm)
        size = _check_model(mean, within, between)
        if lda is None:
            lda = torch.eye(size)
        elif lda.dim() != 2 or lda.shape[1] != size:
            raise ValueError(f"lda: expected shape [D, {size}], got {list(lda.shape)}")
        if centre is None:
            centre = torch.zeros(lda.shape[0])
        elif list(centre.shape) != [lda.shape[0]]:
            raise ValueError(f"centre: expected shape [{lda.shape[0]}], got {list(centre.shape)}")
        transform, variances = diagonalise(within.double(), between.double())
        self.length_norm = bool(length_norm)
        dtype = torch.get_default_dtype()
        for name, value in (
            ("centre", centre),
            ("lda", lda),
            ("mean", mean),
            ("transform", transform),
            ("between", variances),
        ):
            # In memory order: a transposed matrix does not survive torch.export's files.
            kept = value.detach().to(dtype).clone(memory_format=torch.contiguous_format)
            self.register_buffer(name, kept)

    def forward(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Enrolled ``[N, D]`` or ``[N, M, D]``, test ``[B, D]`` → LLR ``[B, N]``."""
        check_pair(enrolled, test)
        if test.shape[1] != self.lda.shape[0]:
            raise ValueError(
                f"test: expected shape [B, {self.lda.shape[0]}], got {list(test.shape)}"
            )
        return plda_score(self.project(enrolled), self.project(test), self.between)

    def project(self, embeddings: Tensor) -> Tensor:
        """Embeddings ``[*, D]`` → ``[*, K]``, where the within-speaker covariance is identity."""
        x = (at_least_float32(embeddings) - self.centre) @ self.lda
        if self.length_norm:
            x = unit(x, -1)
        return (x - self.mean) @ self.transform


def diagonalise(within: Tensor, between: Tensor) -> tuple[Tensor, Tensor]:
    """V and ψ with VᵀWV = I and VᵀBV = diag(ψ), ψ descending, in float64."""
    factor, info = torch.linalg.cholesky_ex(within)
    if int(info) != 0:
        raise ValueError("within: expected a positive definite covariance")
    half = torch.linalg.solve_triangular(factor, between, upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.T, upper=False)
    values, vectors = torch.linalg.eigh((whitened + whitened.T) / 2)
    # Rounding leaves directions without between-speaker variance slightly negative.
    if float(values[0]) < -1e-6 * max(float(values[-1]), 1.0):
        raise ValueError("between: expected a positive semidefinite covariance")
    basis = torch.linalg.solve_triangular(factor.T, vectors, upper=True)
    return basis.flip(1), values.clamp(min=0.0).flip(0)


def _check_model(mean: Tensor, within: Tensor, between: Tensor) -> int:
    if mean.dim() != 1 or mean.shape[0] < 1:
        raise ValueError(f"mean: expected shape [K], got {list(mean.shape)}")
    size = mean.shape[0]
    for name, matrix in (("within", within), ("between", between)):
        if list(matrix.shape) != [size, size]:
            raise ValueError(f"{name}: expected shape [{size}, {size}], got {list(matrix.shape)}")
        if not bool(torch.isfinite(matrix).all()):
            raise ValueError(f"{name}: expected finite numbers")
        scale = float(matrix.abs().max())
        if float((matrix - matrix.T).abs().max()) > 1e-5 * scale:
            raise ValueError(f"{name}: expected a symmetric matrix")
    return size
