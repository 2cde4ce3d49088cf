"""The convex hull that calibration, minimum Cllr and the hull's equal error rate share."""

import torch
from torch import Tensor


def lower_hull(x: Tensor, y: Tensor) -> Tensor:
    """Indices of the vertices of the lower convex hull of a staircase.

    A point on or above a chord of its two neighbours is no vertex, whatever becomes of the
    neighbours, so all such points go at once. A pass that removes few hands over to the classical
    scan with a stack; both together are linear in the number of points.

    Args:
        x: ascending integers, ``[K]``.
        y: ascending integers, ``[K]``; no two points are equal.

    Returns:
        Indices, ascending, the first and the last point included.

    Reference:
        Andrew, "Another efficient algorithm for convex hulls in two dimensions", 1979.
    """
    kept = torch.arange(len(x))
    while len(kept) > 2:
        px, py = x[kept], y[kept]
        dx, dy = px[1:] - px[:-1], py[1:] - py[:-1]
        below = dx[:-1] * dy[1:] > dy[:-1] * dx[1:]
        vertices = 1 + below.nonzero().squeeze(1)
        removed = len(kept) - 2 - len(vertices)
        if removed == 0:
            break
        kept = kept[torch.cat([vertices.new_zeros(1), vertices, vertices.new_tensor([-1])])]
        if removed * 8 < len(kept):
            return kept[_scan(x[kept].tolist(), y[kept].tolist())]
    return kept


def _scan(x: list[int], y: list[int]) -> Tensor:
    stack: list[int] = []
    for i in range(len(x)):
        while len(stack) > 1:
            a, b = stack[-2], stack[-1]
            if (x[b] - x[a]) * (y[i] - y[b]) > (y[b] - y[a]) * (x[i] - x[b]):
                break
            stack.pop()
        stack.append(i)
    return torch.tensor(stack)
