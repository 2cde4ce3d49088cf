"""Losses of autoencoders and variational autoencoders."""

import inspect
from collections.abc import Callable
from typing import Final, NamedTuple, Optional, Tuple, Union

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_number, check_shape, check_whole
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import expand_mask, frame_mask, reduce_valid, select, truncate
from scriptable._core.shortcut import Divergences, takes_shortcut
from scriptable.losses.regression import mse_loss


class AutoencoderOutput(NamedTuple):
    """What an autoencoder returns; the loss reads ``rec`` alone."""

    rec: Tensor
    latent: Tensor
    latent_length: Tensor


class VariationalAutoencoderOutput(NamedTuple):
    """What a variational autoencoder returns; the loss reads ``rec``, ``mean`` and ``log_var``."""

    rec: Tensor
    latent: Tensor
    mean: Tensor
    log_var: Tensor
    latent_sample: Tensor
    latent_length: Tensor


class AutoencoderLossDetails(NamedTuple):
    """The loss, and again as the reconstruction loss, alike in form to the variational one."""

    loss: Tensor
    rec_loss: Tensor


class VariationalAutoencoderLossDetails(NamedTuple):
    """The loss and what it is made of."""

    loss: Tensor
    rec_loss: Tensor
    dist_loss: Tensor
    weighted_dist_loss: Tensor


def _register(result: type) -> None:
    """Let saved programs name the type of a result, by the name that they have always had."""
    name = f"scriptable.autoencoder.{result.__name__}"
    torch.utils._pytree._register_namedtuple(result, serialized_type_name=name)
    # Their example inputs are pickled, under the name of the day. Newer torch loads names that are
    # allowed, older torch looks for the module scriptable.autoencoder.
    torch.serialization.add_safe_globals([result, (result, name)])


for _result in (
    AutoencoderOutput,
    VariationalAutoencoderOutput,
    AutoencoderLossDetails,
    VariationalAutoencoderLossDetails,
):
    _register(_result)


class _SquaredError(nn.Module):
    """The default reconstruction loss, unreduced."""

    def forward(self, targets: Tensor, rec: Tensor) -> Tensor:
        """Squared error of each element."""
        return (targets - rec).square()


class _Unreduced(nn.Module):
    """A function with a ``reduction`` argument, as :func:`scriptable.l1_loss`, unreduced."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, targets: Tensor, rec: Tensor) -> Tensor:
        """One call of the function."""
        return self.function(targets, rec, reduction="none")


class _Function(nn.Module):
    """A function of two tensors that does not reduce."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, targets: Tensor, rec: Tensor) -> Tensor:
        """One call of the function."""
        return self.function(targets, rec)


def _reconstruction(rec_loss: Optional[Union[nn.Module, Callable[..., Tensor]]]) -> nn.Module:
    """``rec_loss`` as a submodule of ``(targets, rec)`` that does not reduce."""
    if rec_loss is None:
        return _SquaredError()
    if not callable(rec_loss):
        raise ValueError(f"rec_loss: expected a module or a callable, got {rec_loss}")
    call = rec_loss.forward if isinstance(rec_loss, nn.Module) else rec_loss
    if "reduction" in inspect.signature(call).parameters:
        return _Unreduced(rec_loss)
    return rec_loss if isinstance(rec_loss, nn.Module) else _Function(rec_loss)


def _masked(x: Tensor, length: Optional[Tensor], len_dim: int) -> Tuple[Tensor, Optional[Tensor]]:
    """``x`` as float32 or wider with 0 in the padding along ``len_dim``, and the frames' mask."""
    x = at_least_float32(x)
    if length is None:
        return x, None
    mask = frame_mask(length, x.shape[0], x.shape[len_dim])
    return select(x, expand_mask(mask, x).transpose(1, len_dim)), mask


def _reduced(loss: Tensor, length: Optional[Tensor], len_dim: int, reduction: str) -> Tensor:
    """An unreduced loss, its padding put to 0, under one of the five reductions."""
    loss, mask = _masked(loss, length, len_dim)
    return reduce_valid(loss.movedim(len_dim, 1), mask, reduction)


def _squared_errors(
    targets: Tensor, rec: Tensor, length: Optional[Tensor], len_dim: int, reduction: str
) -> Tensor:
    """The default reconstruction loss under one of the five reductions."""
    rec, targets = rec.movedim(len_dim, 1), targets.movedim(len_dim, 1)
    return mse_loss(rec, targets, length, reduction=reduction)


def _variance(log_var: Tensor, bend: float) -> Tensor:
    """exp(log_var), going on as its tangent above ``bend``."""
    below = log_var.clamp(max=bend)
    return torch.exp(below) * (1.0 + (log_var - below))


def _reduced_divergence(
    mean: Tensor, log_var: Tensor, length: Optional[Tensor], len_dim: int, reduction: str
) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, 1)) of each element, under one of the five reductions."""
    bend = 40.0  # float32 overflows soon above
    if not torch.jit.is_scripting():
        alike = mean.dtype == log_var.dtype and reduction != "none"
        if alike and length is not None and takes_shortcut(mean):
            mask = frame_mask(length, mean.shape[0], mean.shape[len_dim])
            along = expand_mask(mask, mean).transpose(1, len_dim)
            sums = Divergences.apply(at_least_float32(mean), at_least_float32(log_var), along, bend)
            elements = mean[0].numel() // mean.shape[len_dim]
            return reduce_valid(sums.unsqueeze(1), mask, reduction, elements)
    mean, valid = _masked(mean, length, len_dim)
    log_var, _ = _masked(log_var, length, len_dim)
    # Of zeros it is exactly 0: the padding needs no second selection.
    divergence = -0.5 * (1.0 + log_var - mean.square() - _variance(log_var, bend))
    return reduce_valid(divergence.movedim(len_dim, 1), valid, reduction)


class VariationalAutoencoderLoss(nn.Module):
    r"""Reconstruction loss plus weighted Kullback-Leibler divergence.

    .. math:: \ell = L(y, \hat y)
        + w \cdot \tfrac12 \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right)

    Each of the two is reduced over its own valid elements. Above :math:`\log\sigma^2 = 40` the
    variance is replaced by its tangent, so that value and gradient stay finite.

    Args:
        rec_loss: unreduced loss of ``(targets, rec)``, a module or a function; one that takes a
            ``reduction`` is called with ``"none"``. None is the squared error. A function is held
            as a submodule; scripting then needs a scriptable one.
        len_dim: dimension that the lengths count.
        dist_loss_weight: w.

    Shape:
        - predictions: :class:`VariationalAutoencoderOutput`, or any tuple of the same fields, or
          ``(rec, mean, log_var)`` (a scripted module takes the first); rec: ``[B, T, *]``; mean,
          log_var: ``[B, T', *]``.
        - targets: as rec; T may differ by 3 frames. length: relative lengths ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, unreduced for ``none``, which needs a latent of the
          shape of rec; in nats where rec_loss is.

    Raises:
        ValueError: on mismatched shapes, an unknown reduction, or ``rec_loss`` is not a loss.

    Reference:
        Kingma, Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114, eq. 10.

    Example:
        >>> vae_loss = VariationalAutoencoderLoss(dist_loss_weight=0.5)
        >>> predictions = VariationalAutoencoderOutput(
        ...     rec=torch.tensor([[0.8, 1.0], [1.2, 0.6], [0.4, 1.4]]),
        ...     mean=torch.tensor([[0.5, 1.0], [1.5, 1.0], [1.0, 1.4]]),
        ...     log_var=torch.tensor([[0.0, -0.2], [2.0, -2.0], [0.2, 0.4]]),
        ...     latent=torch.randn(3, 1),
        ...     latent_sample=torch.randn(3, 1),
        ...     latent_length=torch.tensor([1., 1., 1.]),
        ... )
        >>> targets = torch.tensor([[0.9, 1.1], [1.4, 0.6], [0.2, 1.4]])
        >>> loss = vae_loss(predictions, targets)
        >>> loss
        tensor(1.1264)
        >>> details = vae_loss.details(predictions, targets)
        >>> details
        VariationalAutoencoderLossDetails(loss=tensor(1.1264), rec_loss=tensor(0.0333),
        dist_loss=tensor(2.1861), weighted_dist_loss=tensor(1.0930))
    """

    dist_loss_weight: Final[float]
    len_dim: Final[int]
    squares: Final[bool]

    def __init__(
        self,
        rec_loss: Optional[Union[nn.Module, Callable[..., Tensor]]] = None,
        len_dim: int = 1,
        dist_loss_weight: float = 0.001,
    ) -> None:
        super().__init__()
        self.squares = rec_loss is None
        self.rec_loss = _reconstruction(rec_loss)
        check_whole("len_dim", len_dim)
        check_number("dist_loss_weight", dist_loss_weight)
        self.dist_loss_weight = float(dist_loss_weight)
        self.len_dim = len_dim

    def forward(
        self,
        predictions: VariationalAutoencoderOutput,
        targets: Tensor,
        length: Optional[Tensor] = None,
        reduction: str = "batchmean",
    ) -> Tensor:
        """Loss of a batch."""
        return self.details(predictions, targets, length, reduction).loss

    @torch.jit.export
    def details(
        self,
        predictions: VariationalAutoencoderOutput,
        targets: Tensor,
        length: Optional[Tensor] = None,
        reduction: str = "batchmean",
    ) -> VariationalAutoencoderLossDetails:
        """Loss of a batch and what it is made of."""
        rec, mean, log_var = predictions[0], predictions[1], predictions[2]
        if len(predictions) != 3:
            mean, log_var = predictions[2], predictions[3]
        check_shape("log_var", log_var, list(mean.shape))
        rec, targets = truncate(rec, targets)
        check_shape("targets", targets, list(rec.shape))
        if self.squares:
            rec_loss = _squared_errors(targets, rec, length, self.len_dim, reduction)
        else:
            rec = _masked(rec, length, self.len_dim)[0]
            targets = _masked(targets, length, self.len_dim)[0]
            rec_loss = _reduced(self.rec_loss(targets, rec), length, self.len_dim, reduction)
        dist_loss = _reduced_divergence(mean, log_var, length, self.len_dim, reduction)
        if reduction == "none":
            check_shape("mean", dist_loss, list(rec_loss.shape))
        weighted = self.dist_loss_weight * dist_loss
        return VariationalAutoencoderLossDetails(rec_loss + weighted, rec_loss, dist_loss, weighted)


class AutoencoderLoss(nn.Module):
    r"""Reconstruction loss of an autoencoder.

    .. math:: \ell = L(y, \hat y)

    Args:
        rec_loss: unreduced loss of ``(targets, rec)``, a module or a function; one that takes a
            ``reduction`` is called with ``"none"``. None is the squared error. A function is held
            as a submodule; scripting then needs a scriptable one.
        len_dim: dimension that the lengths count.

    Shape:
        - predictions: :class:`AutoencoderOutput` or any tuple that begins with rec ``[B, T, *]``.
        - targets: as rec; T may differ by 3 frames. length: relative lengths ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, unreduced for ``none``.

    Raises:
        ValueError: on mismatched shapes, an unknown reduction, or ``rec_loss`` is not a loss.

    Reference:
        ``speechbrain.nnet.losses.AutoencoderLoss``.

    Example:
        >>> ae_loss = AutoencoderLoss()
        >>> rec = torch.tensor([[0.8, 1.0], [1.2, 0.6], [0.4, 1.4]])
        >>> predictions = AutoencoderOutput(
        ...     rec=rec,
        ...     latent=torch.randn(3, 1),
        ...     latent_length=torch.tensor([1., 1.])
        ... )
        >>> targets = torch.tensor([[0.9, 1.1], [1.4, 0.6], [0.2, 1.4]])
        >>> ae_loss(predictions, targets)
        tensor(0.0333)
        >>> ae_loss.details(predictions, targets)
        AutoencoderLossDetails(loss=tensor(0.0333), rec_loss=tensor(0.0333))
    """

    len_dim: Final[int]
    squares: Final[bool]

    def __init__(
        self,
        rec_loss: Optional[Union[nn.Module, Callable[..., Tensor]]] = None,
        len_dim: int = 1,
    ) -> None:
        super().__init__()
        self.squares = rec_loss is None
        self.rec_loss = _reconstruction(rec_loss)
        check_whole("len_dim", len_dim)
        self.len_dim = len_dim

    def forward(
        self,
        predictions: AutoencoderOutput,
        targets: Tensor,
        length: Optional[Tensor] = None,
        reduction: str = "batchmean",
    ) -> Tensor:
        """Loss of a batch."""
        rec, targets = truncate(predictions[0], targets)
        check_shape("targets", targets, list(rec.shape))
        if self.squares:
            return _squared_errors(targets, rec, length, self.len_dim, reduction)
        rec = _masked(rec, length, self.len_dim)[0]
        targets = _masked(targets, length, self.len_dim)[0]
        return _reduced(self.rec_loss(targets, rec), length, self.len_dim, reduction)

    @torch.jit.export
    def details(
        self,
        predictions: AutoencoderOutput,
        targets: Tensor,
        length: Optional[Tensor] = None,
        reduction: str = "batchmean",
    ) -> AutoencoderLossDetails:
        """Loss of a batch, in the form of the variational one."""
        loss = self.forward(predictions, targets, length, reduction)
        return AutoencoderLossDetails(loss, loss)
