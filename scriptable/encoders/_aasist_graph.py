"""The graphs of AASIST: attention over all pairs of nodes, pooling, and two kinds of nodes at once.

Nodes are ``[B, N, D]``; attention maps are ``[B, N, N]``, their rows summing to one.
"""

from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable.encoders._aasist_layers import selu


def attention_vector(size: int) -> nn.Parameter:
    """The learnt direction ``[size, 1]`` that pairs of nodes are compared along."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(size, 1)))


class GraphAttention(nn.Module):
    r"""A graph attention layer over one kind of nodes: ``[B, N, D]`` to ``[B, N, outputs]``.

    .. math::
        \alpha_{ij} = \mathrm{softmax}_j\big(w^\top \tanh(A (h_i \odot h_j)) / \tau\big), \qquad
        h'_i = \mathrm{selu}\big(\mathrm{bn}(P \textstyle\sum_j \alpha_{ij} h_j + Q h_i)\big)
    """

    temperature: Final[float]

    def __init__(self, inputs: int, outputs: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.att_proj = nn.Linear(inputs, outputs)
        self.att_weight = attention_vector(outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.drop = nn.Dropout(0.2)

    def forward(self, nodes: Tensor) -> Tensor:
        """Attend."""
        nodes = self.drop(nodes)
        pairs = torch.tanh(self.att_proj(nodes.unsqueeze(2) * nodes.unsqueeze(1)))
        energies = F.linear(pairs, self.att_weight.t()).squeeze(3)
        attention = torch.softmax(energies / self.temperature, dim=2)
        mixed = self.proj_with_att(torch.matmul(attention, nodes))
        mixed = mixed + self.proj_without_att(nodes)
        return selu(self.bn(mixed.flatten(0, 1)).view(mixed.shape))


class GraphPool(nn.Module):
    """Keep the share ``ratio`` of the nodes with the highest scores, each weighted by its own."""

    ratio: Final[float]

    def __init__(self, ratio: float, size: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.proj = nn.Linear(size, 1)
        self.drop = nn.Dropout(0.3)

    def forward(self, nodes: Tensor) -> Tensor:
        """``[B, N, D]`` to ``[B, max(1, floor(ratio N)), D]``, best first."""
        scores = torch.sigmoid(self.proj(self.drop(nodes)))
        kept = max(int(nodes.size(1) * self.ratio), 1)
        best = torch.topk(scores, kept, dim=1)[1]
        return torch.gather(nodes * scores, 1, best.expand(-1, -1, nodes.size(2)))


class HeterogeneousAttention(nn.Module):
    """Graph attention over temporal and spectral nodes at once, with a stack node that listens.

    Pairs within a kind and across the kinds are compared along vectors of their own. The stack node
    ``[B, 1, D]`` attends to all nodes, and no node to it.
    """

    temperature: Final[float]

    def __init__(self, inputs: int, outputs: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.proj_type1 = nn.Linear(inputs, inputs)
        self.proj_type2 = nn.Linear(inputs, inputs)
        self.att_proj = nn.Linear(inputs, outputs)
        self.att_projM = nn.Linear(inputs, outputs)
        self.att_weight11 = attention_vector(outputs)
        self.att_weight22 = attention_vector(outputs)
        self.att_weight12 = attention_vector(outputs)
        self.att_weightM = attention_vector(outputs)
        self.proj_with_att = nn.Linear(inputs, outputs)
        self.proj_without_att = nn.Linear(inputs, outputs)
        self.proj_with_attM = nn.Linear(inputs, outputs)
        self.proj_without_attM = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)
        self.drop = nn.Dropout(0.2)

    def forward(
        self, first: Tensor, second: Tensor, stack: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """``[B, N, D]``, ``[B, M, D]``, ``[B, 1, D]`` to the same with ``outputs`` features."""
        n, m = first.size(1), second.size(1)
        nodes = self.drop(torch.cat([self.proj_type1(first), self.proj_type2(second)], dim=1))
        mixed = self.proj_with_att(torch.matmul(self.attention(nodes, n), nodes))
        listened = torch.matmul(self.stack_attention(nodes, stack), nodes)
        stack = self.proj_with_attM(listened) + self.proj_without_attM(stack)
        mixed = mixed + self.proj_without_att(nodes)
        nodes = selu(self.bn(mixed.flatten(0, 1)).view(mixed.shape))
        return nodes.narrow(1, 0, n), nodes.narrow(1, n, m), stack

    def attention(self, nodes: Tensor, n: int) -> Tensor:
        """How much each node takes from each, ``[B, N + M, N + M]``; the first kind comes first."""
        pairs = torch.tanh(self.att_proj(nodes.unsqueeze(2) * nodes.unsqueeze(1)))
        vectors = torch.cat([self.att_weight11, self.att_weight12, self.att_weight22], dim=1)
        energies = F.linear(pairs, vectors.t())
        above, below = energies[:, :n], energies[:, n:]
        above = torch.cat([above[:, :, :n, 0], above[:, :, n:, 1]], dim=2)
        below = torch.cat([below[:, :, :n, 1], below[:, :, n:, 2]], dim=2)
        return torch.softmax(torch.cat([above, below], dim=1) / self.temperature, dim=2)

    def stack_attention(self, nodes: Tensor, stack: Tensor) -> Tensor:
        """How much the stack node takes from each node, ``[B, 1, N + M]``."""
        pairs = torch.tanh(self.att_projM(nodes * stack))
        energies = F.linear(pairs, self.att_weightM.t()).transpose(1, 2)
        return torch.softmax(energies / self.temperature, dim=2)
