"""Fitting the PLDA back end on labelled embeddings, in float64, outside the graph."""

from typing import NamedTuple

import torch
from torch import Tensor

from scriptable._core.numeric import unit
from scriptable.scoring.cosine import check_embeddings
from scriptable.scoring.plda import PLDA, diagonalise


class TwoCovariance(NamedTuple):
    """x = mean + speaker + utterance: mean ``[K]`` and the two covariances ``[K, K]``."""

    mean: Tensor
    within: Tensor
    between: Tensor


class _Sums(NamedTuple):
    """Sufficient statistics of embeddings by speaker, about a common mean."""

    counts: Tensor
    firsts: Tensor
    second: Tensor
    mean: Tensor


def _sums(embeddings: Tensor, speakers: Tensor) -> _Sums:
    if embeddings.dim() != 2:
        raise ValueError(f"embeddings: expected shape [T, D], got {list(embeddings.shape)}")
    if list(speakers.shape) != [embeddings.shape[0]]:
        raise ValueError(
            f"speakers: expected shape [{embeddings.shape[0]}], got {list(speakers.shape)}"
        )
    if not bool(torch.isfinite(embeddings).all()):
        trial = int((~torch.isfinite(embeddings).all(1)).nonzero()[0])
        raise ValueError(f"embeddings: expected finite numbers, got NaN or inf at [{trial}]")
    _, index, counts = speakers.unique(return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError(f"speakers: expected two or more, got {len(counts)}")
    if int(counts.max()) < 2:
        raise ValueError("speakers: expected one with two or more embeddings, got none")
    x = embeddings.detach().double()
    mean = x.mean(0)
    x = x - mean
    firsts = torch.zeros(len(counts), x.shape[1], dtype=x.dtype).index_add_(0, index, x)
    return _Sums(counts.double(), firsts, x.T @ x, mean)


def _scatter(sums: _Sums) -> tuple[Tensor, Tensor]:
    """Pooled within-speaker covariance, and covariance of the speakers' means by utterance."""
    total = float(sums.counts.sum())
    between = sums.firsts.T @ (sums.firsts / sums.counts.unsqueeze(1)) / total
    within = (sums.second / total - between) * (total / (total - len(sums.counts)))
    _, info = torch.linalg.cholesky_ex(within)
    smallest = float(torch.linalg.eigvalsh(within)[0])
    if int(info) != 0 or smallest <= 1e-12 * float(within.diagonal().max()):
        raise ValueError(
            f"embeddings: expected within-speaker variance in all {within.shape[0]} dimensions; "
            f"more utterances per speaker or fewer dimensions are needed"
        )
    return within, between


def fit_lda(embeddings: Tensor, speakers: Tensor, dim: int) -> Tensor:
    r"""The ``dim`` directions in which speakers differ most, relative to their own utterances.

    .. math:: A = \arg\max_A \operatorname{tr}\big((A^T S_w A)^{-1} A^T S_b A\big),
              \qquad A^T S_w A = I

    Args:
        embeddings: ``[T, D]``.
        speakers: any integers, ``[T]``.
        dim: K, at most D and at most one less than the number of speakers.

    Returns:
        A, ``[D, K]``, float64, best direction first.

    Raises:
        ValueError: on wrong shapes, NaN, too few speakers or utterances, or ``dim`` out of range.

    Reference:
        Fukunaga, "Introduction to Statistical Pattern Recognition", 1990, discriminant analysis.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 2.0], [5.0, -1.0], [9.0, 0.5]])
        >>> fit_lda(x, torch.tensor([0, 0, 1, 1, 2]), 1).abs().round(decimals=2).flatten()
        tensor([3.6100, 0.8400], dtype=torch.float64)
    """
    sums = _sums(embeddings, speakers)
    most = min(embeddings.shape[1], len(sums.counts) - 1)
    if not 1 <= dim <= most:
        raise ValueError(f"dim: expected 1 to {most}, got {dim}")
    basis, _ = diagonalise(*_scatter(sums))
    return basis[:, :dim]


def fit_two_covariance(embeddings: Tensor, speakers: Tensor, iterations: int = 20) -> TwoCovariance:
    r"""Fit the two-covariance model by expectation maximisation.

    In the basis where W is the identity and B is diag(ψ), a speaker with n utterances of mean
    :math:`\bar x` has the posterior mean :math:`\frac{n\psi}{1 + n\psi}(\bar x - \mu)` and the
    variance :math:`\frac{\psi}{1 + n\psi}`; the new covariances are the expected scatters.

    Args:
        embeddings: ``[T, K]``.
        speakers: any integers, ``[T]``.
        iterations: number of EM steps from the moments of the data; each raises the likelihood.

    Returns:
        Mean and covariances, float64.

    Raises:
        ValueError: on wrong shapes, NaN, or too few speakers or utterances.

    Reference:
        Brümmer, de Villiers, "The Speaker Partitioning Problem", 2010; Sizov, Lee, Kinnunen,
        "Unifying probabilistic linear discriminant analysis variants", 2014.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> speakers = torch.arange(2000) // 4
        >>> x = 3 * torch.randn(500, 1, generator=g)[speakers] + torch.randn(2000, 1, generator=g)
        >>> model = fit_two_covariance(x, speakers)
        >>> round(float(model.between), 1), round(float(model.within), 1)
        (9.1, 1.0)
    """
    if iterations < 0:
        raise ValueError(f"iterations: expected 0 or more, got {iterations}")
    sums = _sums(embeddings, speakers)
    within, between = _scatter(sums)
    shift = torch.zeros_like(sums.mean)
    for _ in range(iterations):
        within, between, shift = _step(sums, within, between, shift)
    return TwoCovariance(sums.mean + shift, within, between)


def _step(
    sums: _Sums, within: Tensor, between: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One EM step; ``shift`` is the speakers' mean, less the mean of the data."""
    basis, psi = diagonalise(within, between)
    inverse = basis.T @ within  # V⁻¹ = VᵀW, from VᵀWV = I
    counts = sums.counts.unsqueeze(1)
    variance = psi / (1.0 + counts * psi)
    # Speaker means in the basis, y = μ + posterior of (speaker − μ).
    firsts, centre = sums.firsts @ basis, shift @ basis
    means = centre + variance * (firsts - counts * centre)
    new_centre = means.mean(0)
    around = means - new_centre
    between_in_basis = torch.diag(variance.mean(0)) + around.T @ around / len(counts)
    cross = firsts.T @ means
    residual = (
        basis.T @ sums.second @ basis
        - cross
        - cross.T
        + means.T @ (counts * means)
        + torch.diag((counts * variance).sum(0))
    ) / sums.counts.sum()
    back = [inverse.T @ matrix @ inverse for matrix in (residual, between_in_basis)]
    within, between = ((matrix + matrix.T) / 2 for matrix in back)
    return within, between, new_centre @ inverse


def fit_plda(
    embeddings: Tensor,
    speakers: Tensor,
    lda_dim: int = 0,
    length_norm: bool = True,
    iterations: int = 20,
) -> PLDA:
    """Fit a whole back end: centring, LDA, length normalisation, two-covariance model.

    Args:
        embeddings: ``[T, D]``.
        speakers: any integers, ``[T]``.
        lda_dim: size K after LDA; 0 for none.
        length_norm: whether vectors are brought to length one.
        iterations: number of EM steps.

    Returns:
        The scorer, ready to ship.

    Raises:
        ValueError: on wrong shapes, NaN, zero vectors, too few speakers or utterances, or
            ``lda_dim`` out of range.

    Reference:
        García-Romero, Espy-Wilson, "Analysis of i-vector length normalization in speaker
        recognition systems", 2011.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> speakers = torch.arange(60) // 6
        >>> x = torch.randn(10, 4, generator=g)[speakers] + 0.1 * torch.randn(60, 4, generator=g)
        >>> llr = fit_plda(x, speakers, lda_dim=3)(x[:1], x[1:60:6])
        >>> bool(llr[0, 0] > 0), bool((llr[1:, 0] < 0).all())
        (True, True)
    """
    sums = _sums(embeddings, speakers)
    if length_norm:
        check_embeddings(embeddings)
    x = embeddings.detach().double() - sums.mean
    if lda_dim < 0:
        raise ValueError(f"lda_dim: expected 0 or more, got {lda_dim}")
    lda = None
    if lda_dim > 0:
        lda = fit_lda(x, speakers, lda_dim)
        x = x @ lda
    if length_norm:
        x = unit(x, 1)
    model = fit_two_covariance(x, speakers, iterations)
    return PLDA(*model, sums.mean, lda, length_norm)
