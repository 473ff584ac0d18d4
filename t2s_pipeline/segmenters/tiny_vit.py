"""TinyViT (5 million parameters), the image encoder of MobileSAM, at the one size that MobileSAM has.

The architecture is that of Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (2022), in
the form of MobileSAM (https://github.com/ChaoningZhang/MobileSAM, Apache-2.0): the last stage keeps the resolution of
the third. It is written anew for inference. The names of the parameters are those of MobileSAM's checkpoint.
"""

from dataclasses import dataclass
from itertools import product
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """A stage: channels, blocks, attention heads, and the side of an attention window in tokens."""

    channels: int
    blocks: int
    heads: int
    window: int


STAGES = (Stage(64, 2, 2, 7), Stage(128, 2, 4, 7), Stage(160, 6, 5, 14), Stage(320, 2, 10, 7))
"""The first stage is convolutional, so its heads and window mean nothing."""

OUT_CHANNELS = 256
EXPANSION = 4


class _Convolution(nn.Sequential):
    """A convolution without bias, and a batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs))


class _MBConv(nn.Module):
    """An inverted bottleneck with a shortcut: (B, C, H, W) → the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels * EXPANSION
        self.conv1 = _Convolution(channels, hidden)
        self.conv2 = _Convolution(hidden, hidden, 3, groups=hidden)
        self.conv3 = _Convolution(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class _Merging(nn.Module):
    """From one stage to the next: other channels, and half the resolution except before the last stage."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _Convolution(inputs, outputs)
        self.conv2 = _Convolution(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = _Convolution(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class _Attention(nn.Module):
    """Attention inside windows of N tokens, with a learned bias per distance: (n, N, C) → the same shape."""

    offsets: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        numbers: dict[tuple[int, int], int] = {}
        places = list(product(range(window), repeat=2))
        pairs = [(abs(a - c), abs(b - d)) for (a, b), (c, d) in product(places, places)]
        offsets = [numbers.setdefault(pair, len(numbers)) for pair in pairs]
        self.attention_biases = nn.Parameter(torch.zeros(heads, len(numbers)))
        self.register_buffer("offsets", torch.tensor(offsets).view(len(places), -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, channels = x.shape
        # Query, key and value of a head lie together.
        heads = self.qkv(self.norm(x)).view(n, tokens, self.heads, 3, -1)
        query, key, value = heads.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.offsets]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None].to(query.dtype))
        return cast(Tensor, self.proj(mixed.transpose(1, 2).reshape(n, tokens, channels)))


class _Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, channels * EXPANSION)
        self.fc2 = nn.Linear(channels * EXPANSION, channels)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(F.gelu(self.fc1(self.norm(x)))))


class _Block(nn.Module):
    """Attention in windows, a depthwise convolution, and an MLP: (B, C, H, W) → the same shape."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.window = stage.window
        self.attn = _Attention(stage.channels, stage.heads, stage.window)
        self.local_conv = _Convolution(stage.channels, stage.channels, 3, groups=stage.channels)
        self.mlp = _Mlp(stage.channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        x = self.local_conv(x + self._attended(tokens).permute(0, 3, 1, 2))
        tokens = x.permute(0, 2, 3, 1)
        return cast(Tensor, tokens + self.mlp(tokens)).permute(0, 3, 1, 2)

    def _attended(self, x: Tensor) -> Tensor:
        """Attention over (B, H, W, C). The map is padded with zeros to whole windows, as in training."""
        size, (b, height, width, channels) = self.window, x.shape
        padded = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        down, across = padded.shape[1] // size, padded.shape[2] // size
        windows = padded.view(b, down, size, across, size, channels).transpose(2, 3)
        mixed = self.attn(windows.reshape(-1, size * size, channels)).view(b, down, across, size, size, channels)
        whole = mixed.transpose(2, 3).reshape(b, down * size, across * size, channels)
        return cast(Tensor, whole[:, :height, :width])


class _Layer(nn.Module):
    """The blocks of a stage, and the way to the next one."""

    def __init__(self, index: int) -> None:
        super().__init__()
        stage = STAGES[index]
        kind = [_Block(stage) if index else _MBConv(stage.channels) for _ in range(stage.blocks)]
        self.blocks = nn.Sequential(*kind)
        self.downsample: nn.Module | None = None
        if index + 1 < len(STAGES):
            is_last = index + 2 == len(STAGES)
            self.downsample = _Merging(stage.channels, STAGES[index + 1].channels, 1 if is_last else 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return x if self.downsample is None else cast(Tensor, self.downsample(x))


class _ChannelNorm(nn.Module):
    """A layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


class _PatchEmbedding(nn.Module):
    """(B, 3, H, W) → (B, C, H/4, W/4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            _Convolution(3, channels // 2, 3, 2), nn.GELU(), _Convolution(channels // 2, channels, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.seq(x))


class TinyViT(nn.Module):
    """The encoder with random weights. Normalized pixels (B, 3, 1024, 1024) become features (B, 256, 64, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(STAGES[0].channels)
        self.layers = nn.Sequential(*(_Layer(index) for index in range(len(STAGES))))
        self.neck = nn.Sequential(
            nn.Conv2d(STAGES[-1].channels, OUT_CHANNELS, 1, bias=False),
            _ChannelNorm(OUT_CHANNELS),
            nn.Conv2d(OUT_CHANNELS, OUT_CHANNELS, 3, padding=1, bias=False),
            _ChannelNorm(OUT_CHANNELS),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """The features of normalized pixels."""
        return cast(Tensor, self.neck(self.layers(self.patch_embed(pixels))))
