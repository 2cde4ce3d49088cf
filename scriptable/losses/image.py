"""Sharpness of image-like data, such as spectrograms."""

from typing import Final, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_size,
    check_whole,
)
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import checked_counts


class Laplacian(nn.Module):
    r"""Laplacian of images: how far each pixel stands out from the square around it.

    .. math:: y_{ij} = k^2 x_{ij} - \sum_{|p|, |q| \le \lfloor k/2 \rfloor} x_{i+p, j+q}

    Args:
        kernel_size: side k of the square.
        dtype: type of the kernel; data of another type is filtered in its own.

    Shape:
        - data: ``[..., W, H]``, at least k × k; every leading dimension is a batch.
        - result: ``[..., W − k + 1, H − k + 1]``.

    Raises:
        ValueError: if the data is smaller than the kernel, or the kernel size not above 0.

    Reference:
        ``speechbrain.nnet.losses.Laplacian``.

    Example:
        >>> lap = Laplacian(3)
        >>> lap.get_kernel()
        tensor([[[[-1., -1., -1.],
                  [-1.,  8., -1.],
                  [-1., -1., -1.]]]])
        >>> data = torch.eye(6) + torch.eye(6).flip(0)
        >>> data
        tensor([[1., 0., 0., 0., 0., 1.],
                [0., 1., 0., 0., 1., 0.],
                [0., 0., 1., 1., 0., 0.],
                [0., 0., 1., 1., 0., 0.],
                [0., 1., 0., 0., 1., 0.],
                [1., 0., 0., 0., 0., 1.]])
        >>> lap(data.unsqueeze(0))
        tensor([[[ 6., -3., -3.,  6.],
                 [-3.,  4.,  4., -3.],
                 [-3.,  4.,  4., -3.],
                 [ 6., -3., -3.,  6.]]])
    """

    kernel: Tensor
    kernel_size: Final[int]

    def __init__(self, kernel_size: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        check_size("kernel_size", kernel_size)
        self.kernel_size = kernel_size
        kernel = -torch.ones(1, 1, kernel_size, kernel_size, dtype=dtype)
        kernel[0, 0, kernel_size // 2, kernel_size // 2] = kernel_size**2 - 1.0
        self.register_buffer("kernel", kernel)

    @torch.jit.export
    def get_kernel(self) -> Tensor:
        """The kernel, ``[1, 1, k, k]``."""
        return self.kernel.clone()

    def forward(self, data: Tensor) -> Tensor:
        """The Laplacian of the data."""
        side = self.kernel_size
        if data.dim() < 2 or data.shape[-1] < side or data.shape[-2] < side:
            raise ValueError(
                f"data: expected shape [..., W, H] of at least {side} x {side}, "
                f"got {list(data.shape)}"
            )
        if not data.is_floating_point():
            data = data.to(self.kernel.dtype)
        images = data.reshape(-1, 1, data.shape[-2], data.shape[-1])
        result = F.conv2d(images, self.kernel.to(data.dtype))
        shape = list(data.shape[:-2])
        shape.append(result.shape[-2])
        shape.append(result.shape[-1])
        return result.reshape(shape)


class LaplacianVarianceLoss(nn.Module):
    r"""Negative variance of the Laplacian: penalises blurred images.

    .. math:: \ell = -\frac{1}{n - 1} \sum_{j=1}^n (y_j - \bar y)^2

    over the n values of the Laplacian that see valid data alone. Where there are fewer than two,
    the loss is 0.

    Args:
        kernel_size: side of the Laplacian's kernel.
        len_dim: dimension that the lengths count.

    Shape:
        - predictions: ``[B, ..., W, H]``; length: relative lengths of the predictions, ``[B]``, or
          None.
        - loss: a scalar over the whole batch, or ``[B]`` with ``reduction="batch"``; these two are
          all the reductions there are.

    Raises:
        ValueError: on a wrong shape or an unknown reduction.

    Reference:
        Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000, the
        variance of the Laplacian.

    Example:
        >>> lap_loss = LaplacianVarianceLoss(3)
        >>> data = torch.ones(6, 6).unsqueeze(0)
        >>> lap_loss(data)
        tensor(-0.)
        >>> data = (torch.eye(6) + torch.eye(6).flip(0)).unsqueeze(0)
        >>> lap_loss(data)
        tensor(-17.6000)
    """

    len_dim: Final[int]

    def __init__(self, kernel_size: int = 3, len_dim: int = 1) -> None:
        super().__init__()
        check_whole("len_dim", len_dim)
        self.len_dim = len_dim
        self.laplacian = Laplacian(kernel_size=kernel_size)

    def _frames(self, x: Tensor, counts: Tensor) -> Tensor:
        """Frames before the counts along the length dimension, as a mask that broadcasts to x."""
        valid = torch.arange(x.shape[self.len_dim], device=x.device) < counts.unsqueeze(1)
        for _ in range(x.dim() - 2):
            valid = valid.unsqueeze(-1)
        return valid.transpose(1, self.len_dim)

    def forward(
        self, predictions: Tensor, length: Optional[Tensor] = None, reduction: Optional[str] = None
    ) -> Tensor:
        """Loss of a batch."""
        if reduction is not None:
            check_choice("reduction", reduction, ["batch"])
        if predictions.dim() < 3:
            raise ValueError(
                f"predictions: expected shape [B, ..., W, H], got {list(predictions.shape)}"
            )
        data = at_least_float32(predictions)
        batch = data.shape[0]
        if length is None:
            edges = self.laplacian(data)
            valid = torch.ones_like(edges)
        else:
            counts = checked_counts("length", length, batch, data.shape[self.len_dim])
            zero = torch.zeros((), dtype=data.dtype, device=data.device)
            edges = self.laplacian(torch.where(self._frames(data, counts), data, zero))
            # A value sees as many frames as the kernel has, so the last of them are lost.
            counts = counts - (data.shape[self.len_dim] - edges.shape[self.len_dim])
            valid = self._frames(edges, counts).to(edges.dtype).expand(edges.shape)
        edges, valid = edges.flatten(1), valid.flatten(1)
        if reduction is None:
            edges, valid = edges.reshape(1, -1), valid.reshape(1, -1)
        count = valid.sum(1, keepdim=True)
        mean = (edges * valid).sum(1, keepdim=True) / count.clamp(min=1.0)
        squares = ((edges - mean) * valid).square().sum(1)
        loss = -(squares / (count.squeeze(1) - 1.0).clamp(min=1.0))
        if reduction is None:
            return loss.squeeze(0)
        return loss
