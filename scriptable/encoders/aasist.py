"""AASIST: anti-spoofing from the waveform by graph attention over spectral and temporal nodes."""

import itertools
from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_rank
from scriptable.encoders._aasist_graph import GraphAttention, GraphPool, HeterogeneousAttention
from scriptable.encoders._aasist_layers import ResidualBlock, SincConvolution, selu

_SAMPLE_RATE = 16000
_SINC_FILTERS = 70
_SINC_WIDTH = 129
_BLOCKS = 6
_POOL = 3
_GRAPH = 32
# Temperatures of the attention over one kind of nodes and over both.
_WARM = 2.0
_HOT = 100.0
# Channels of the encoder's last blocks; the shares of nodes that the spectral, the temporal and the
# joint pools keep.
_VARIANTS = {"AASIST": (64, 0.5, 0.7, 0.5), "AASIST-L": (24, 0.4, 0.5, 0.7)}


class AASIST(nn.Module):
    r"""AASIST and AASIST-L: waveform → logits of spoof and bona fide, in one network.

    Fixed sinc filters and six residual blocks turn the waveform into maps :math:`[C, F, T]`. The
    loudest value over time makes a node of each frequency, that over frequency a node of each time:

    .. math::
        S = \mathrm{pool}\big(\mathrm{gat}(\max_t |e_{cft}| + p)\big), \qquad
        T = \mathrm{pool}\big(\mathrm{gat}(\max_f |e_{cft}|)\big)

    Two branches, each with a stack node :math:`m`, attend over both kinds of nodes twice. Their
    maximum is read out:

    .. math::
        y = W \, \big[\max_t |T|, \; \mathrm{mean}_t \, T, \; \max_f |S|, \;
            \mathrm{mean}_f \, S, \; m\big] + b

    The names of the parameters are those of the published weights, which load strictly. Those
    networks hold a ``bn1`` in blocks 1 to 5 that they were never run through; it is kept, unused,
    and gets no gradient (``DistributedDataParallel`` needs ``find_unused_parameters``).

    Args:
        variant: ``"AASIST"`` (297,866 parameters) or ``"AASIST-L"`` (85,306).

    Shape:
        - waveform: ``[B, N]`` in [−1, 1] at 16 kHz, N ≥ 2315; the published weights were trained on
          N = 64600.
        - result: logits ``[B, 2]``; column 1 is bona fide.

    Raises:
        ValueError: if the variant is neither, or the waveform is not as above.

    Reference:
        Jung et al., "AASIST: Audio Anti-Spoofing Using Integrated Spectro-Temporal Graph Attention
        Networks", arXiv 2110.01200, section 3; its encoder: Tak et al., arXiv 2011.01108.

    Example:
        >>> model = AASIST("AASIST-L").eval()
        >>> model(torch.randn(1, 5000)).shape
        torch.Size([1, 2])
        >>> sum(p.numel() for p in model.parameters())
        85306
    """

    min_samples: Final[int]

    def __init__(self, variant: str = "AASIST") -> None:
        super().__init__()
        check_choice("variant", variant, list(_VARIANTS))
        width, spectral, temporal, joint = _VARIANTS[variant]
        self.min_samples = _SINC_WIDTH - 1 + _POOL ** (1 + _BLOCKS)
        self.sinc = SincConvolution(_SINC_FILTERS, _SINC_WIDTH, _SAMPLE_RATE)
        self.first_bn = nn.BatchNorm2d(1)
        channels = [1, 32, 32, *[width] * (_BLOCKS - 2)]
        blocks = [
            ResidualBlock(inputs, outputs, first=inputs == 1)
            for inputs, outputs in itertools.pairwise(channels)
        ]
        self.encoder = nn.Sequential(*map(nn.Sequential, blocks))
        self.pos_S = nn.Parameter(torch.randn(1, _SINC_FILTERS // _POOL, width))
        self.GAT_layer_S = GraphAttention(width, width, _WARM)
        self.GAT_layer_T = GraphAttention(width, width, _WARM)
        self.pool_S = GraphPool(spectral, width)
        self.pool_T = GraphPool(temporal, width)
        self.master1 = nn.Parameter(torch.randn(1, 1, width))
        self.HtrgGAT_layer_ST11 = HeterogeneousAttention(width, _GRAPH, _HOT)
        self.HtrgGAT_layer_ST12 = HeterogeneousAttention(_GRAPH, _GRAPH, _HOT)
        self.pool_hS1 = GraphPool(joint, _GRAPH)
        self.pool_hT1 = GraphPool(joint, _GRAPH)
        self.master2 = nn.Parameter(torch.randn(1, 1, width))
        self.HtrgGAT_layer_ST21 = HeterogeneousAttention(width, _GRAPH, _HOT)
        self.HtrgGAT_layer_ST22 = HeterogeneousAttention(_GRAPH, _GRAPH, _HOT)
        self.pool_hS2 = GraphPool(joint, _GRAPH)
        self.pool_hT2 = GraphPool(joint, _GRAPH)
        self.drop_way = nn.Dropout(0.2)
        self.drop = nn.Dropout(0.5)
        self.out_layer = nn.Linear(5 * _GRAPH, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform ``[B, N]`` → logits ``[B, 2]``."""
        check_rank("waveform", waveform, "[B, N]", 2)
        if waveform.size(1) < self.min_samples:
            raise ValueError(
                f"waveform: expected shape [B, N] with N >= {self.min_samples}, "
                f"got {list(waveform.shape)}"
            )
        maps = self.maps(waveform).abs()
        times = self.pool_T(self.GAT_layer_T(maps.amax(2).transpose(1, 2)))
        bands = self.pool_S(self.GAT_layer_S(maps.amax(3).transpose(1, 2) + self.pos_S))
        times1, bands1, stack1 = self.first_branch(times, bands)
        times2, bands2, stack2 = self.second_branch(times, bands)
        times = torch.maximum(self.drop_way(times1), self.drop_way(times2))
        bands = torch.maximum(self.drop_way(bands1), self.drop_way(bands2))
        stack = torch.maximum(self.drop_way(stack1), self.drop_way(stack2))
        heard = torch.cat([times.abs().amax(1), times.mean(1)], dim=1)
        seen = torch.cat([bands.abs().amax(1), bands.mean(1)], dim=1)
        logits: Tensor = self.out_layer(self.drop(torch.cat([heard, seen, stack.squeeze(1)], 1)))
        return logits

    def maps(self, waveform: Tensor) -> Tensor:
        """Waveform ``[B, N]`` → the encoder's maps ``[B, C, 23, T]``."""
        filtered = self.sinc(waveform).abs().unsqueeze(1)
        # The stride is spelt out because not every converter knows its default.
        pooled = F.max_pool2d(filtered, kernel_size=[3, 3], stride=[3, 3])
        encoded: Tensor = self.encoder(selu(self.first_bn(pooled)))
        return encoded

    def first_branch(self, times: Tensor, bands: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Temporal and spectral nodes → joint ones ``[B, ., 32]``, and the stack node."""
        times, bands, stack = self.HtrgGAT_layer_ST11(times, bands, self.master1)
        times, bands = self.pool_hT1(times), self.pool_hS1(bands)
        more_times, more_bands, more_stack = self.HtrgGAT_layer_ST12(times, bands, stack)
        return times + more_times, bands + more_bands, stack + more_stack

    def second_branch(self, times: Tensor, bands: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The same with the second branch's weights."""
        times, bands, stack = self.HtrgGAT_layer_ST21(times, bands, self.master2)
        times, bands = self.pool_hT2(times), self.pool_hS2(bands)
        more_times, more_bands, more_stack = self.HtrgGAT_layer_ST22(times, bands, stack)
        return times + more_times, bands + more_bands, stack + more_stack
