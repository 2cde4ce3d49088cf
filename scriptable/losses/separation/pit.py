"""Permutation-invariant training around any unreduced loss."""

from collections.abc import Callable
from typing import Final, List, Tuple, Union

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_shape
from scriptable._core.labels import legal_index
from scriptable._core.numeric import at_least_float32
from scriptable.losses.separation._assignment import (
    best_permutation,
    inverse_permutation,
    sources_first,
    take_sources,
)
from scriptable.losses.separation.snr import SISNRLoss, SNRLoss

_PURE = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, SISNRLoss, SNRLoss)


def reorder_tensor(tensor: Tensor, perms: Tensor) -> Tensor:
    r"""Put the sources of each item into the order of a permutation.

    .. math:: y_{b \dots i} = x_{b \dots \pi_{bi}}

    Args:
        tensor: shape ``[B, ..., S]``.
        perms: source that goes to each place, integer, shape ``[B, S]``.

    Returns:
        The reordered tensor, a new one, of the same shape.

    Raises:
        ValueError: if ``perms`` is not ``[B, S]``, or names a source that does not exist.

    Reference:
        ``speechbrain.nnet.losses.PitWrapper.reorder_tensor``.

    Example:
        >>> reorder_tensor(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2, 0, 1]]))
        tensor([[3., 1., 2.]])
    """
    if not torch.jit.is_scripting():
        perms = torch.as_tensor(perms, device=tensor.device)
    if tensor.dim() < 2:
        raise ValueError(f"tensor: expected shape [B, ..., S], got {list(tensor.shape)}")
    check_shape("perms", perms, [tensor.shape[0], tensor.shape[-1]])
    index = legal_index("perms", perms, tensor.shape[-1])
    for _ in range(tensor.dim() - 2):
        index = index.unsqueeze(1)
    return tensor.gather(-1, index.expand(tensor.shape))


class _Function(nn.Module):
    """A plain function as a module, so that a scripted parent can hold it."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """One call of the function."""
        return self.function(predictions, targets)


class PitWrapper(nn.Module):
    r"""Loss under the best assignment of predictions to targets.

    .. math:: \ell_b = \min_\pi \frac{1}{S} \sum_{i=1}^S
        \operatorname{mean} L(\hat y_{b \dots \pi_i}, y_{b \dots i})

    The minimum is exact. All pairs are compared without a gradient; the loss of the chosen pairs
    alone is differentiated, so a perfect match gives exactly what the base loss gives for it.

    Args:
        base_loss: unreduced loss of ``(predictions, targets)``, both ``[..., B, S]``; it may reduce
            the dimensions before the batch, as a loss whose layout has time first does. A plain
            function is held as a submodule; scripting then needs a scriptable one.

    Shape:
        - preds, targets: ``[B, ..., S]``, at most 16 sources.
        - loss: ``[B]``, in the unit of the base loss.
        - perms: ``[B, S]``, int64; ``perms[b, i]`` is the prediction that goes to target i.

    Raises:
        ValueError: on mismatched shapes, more than 16 sources, or a base loss that reduces.

    Reference:
        Kolbæk et al., "Multi-talker Speech Separation with Utterance-level Permutation Invariant
        Training of Deep Recurrent Neural Networks", arXiv 1703.06284.

    Example:
        >>> pit_mse = PitWrapper(nn.MSELoss(reduction="none"))
        >>> targets = torch.rand((2, 32, 4))
        >>> p = (3, 0, 2, 1)
        >>> predictions = targets[..., p]
        >>> loss, opt_p = pit_mse(predictions, targets)
        >>> loss
        tensor([0., 0.])
        >>> opt_p
        tensor([[1, 3, 2, 0],
                [1, 3, 2, 0]])
        >>> torch.equal(pit_mse.reorder_tensor(predictions, opt_p), targets)
        True
    """

    shields_inputs: Final[bool]

    def __init__(self, base_loss: Union[nn.Module, Callable[[Tensor, Tensor], Tensor]]) -> None:
        super().__init__()
        self.base_loss = base_loss if isinstance(base_loss, nn.Module) else _Function(base_loss)
        # An unknown loss may write into its arguments; torch's own and ours do not.
        self.shields_inputs = type(base_loss) not in _PURE

    def _pair_losses(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean base loss of each source, ``[B, S]``, of pairs ``[B, S, ...]``."""
        batch, sources = predictions.shape[0], predictions.shape[1]
        if self.shields_inputs:
            predictions = predictions.clone()
            targets = targets.clone(memory_format=torch.contiguous_format)
        order = list(range(2, predictions.dim()))
        order.append(0)
        order.append(1)
        loss = self.base_loss(predictions.permute(order), targets.permute(order))
        if loss.dim() < 2 or loss.shape[-2] != batch or loss.shape[-1] != sources:
            raise ValueError(
                f"base_loss: expected an unreduced result [..., {batch}, {sources}], "
                f"got {list(loss.shape)}"
            )
        return at_least_float32(loss).unsqueeze(0).flatten(0, -3).mean(0)

    def forward(self, preds: Tensor, targets: Tensor) -> Tuple[Tensor, Tensor]:
        """Loss and permutation of each item: ``[B, ..., S]`` twice → ``[B]``, ``[B, S]``."""
        if preds.dim() < 2:
            raise ValueError(f"preds: expected shape [B, ..., S], got {list(preds.shape)}")
        check_shape("targets", targets, list(preds.shape))
        if preds.shape[-1] > 16:
            raise ValueError(f"preds: expected at most 16 sources, got {preds.shape[-1]}")
        predictions = sources_first(at_least_float32(preds))
        references = sources_first(at_least_float32(targets))
        candidates, wanted = predictions.detach(), references.detach()
        costs: List[Tensor] = []
        for i in range(preds.shape[-1]):
            target = wanted[:, i : i + 1].expand(candidates.shape)
            costs.append(self._pair_losses(candidates, target))
        perms = best_permutation(torch.stack(costs, 1))
        matched = take_sources(references, inverse_permutation(perms))
        return self._pair_losses(predictions, matched).mean(1), perms

    @torch.jit.export
    def reorder_tensor(self, tensor: Tensor, p: Tensor) -> Tensor:
        """``[B, ..., S]`` in the order of the permutation, see :func:`reorder_tensor`."""
        return reorder_tensor(tensor, p)
