"""The image encoder of the released SAM2 models on a CPU, in float32.

The arithmetic and the weights are those of sam2's ``Hiera``, ``FpnNeck`` and ``SAM2Base.forward_image``. The
differences:

- Matrix products are oneDNN's (``products``), with GELU in the same pass.
- A block whose attention stays within windows is computed a band of rows at a time. So its tensors stay in the CPU's
  caches, and the system is not asked for large memory for each of them.
- The two finest levels of the pyramid go through two 1 × 1 convolutions, one after the other. They are one product.
- The position encodings of the pyramid are left out, because only video needs them.

Feature maps are (B, H, W, C).
"""

from functools import reduce
from itertools import product

import torch
import torch.nn.functional as F
from sam2.modeling.backbones.hieradet import Hiera, MultiScaleBlock
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.backbones.utils import window_partition, window_unpartition
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from t2s_pipeline.segmenters.products import linear

TOKENS_AT_ONCE = 4096
"""The most tokens of a band, unless one row of windows has more."""

QUERIES_AT_ONCE = 256
"""The queries whose scores are computed together if an image has many tokens. 256 · 4096 scores are 4 MB."""

MANY_TOKENS = 1024
"""From so many tokens on, attention's products are oneDNN's. With fewer, torch's own attention is faster."""


def is_released_kind(model: nn.Module) -> bool:
    """Whether ``image_features`` can compute the features of a model: its encoder is like those of the released ones.

    That of the miniature is not: its pyramid hands coarser features on to all levels.
    """
    encoder = getattr(model, "image_encoder", None)
    if not isinstance(encoder, ImageEncoder):
        return False
    trunk, neck = encoder.trunk, encoder.neck
    return (
        isinstance(trunk, Hiera)
        and isinstance(neck, FpnNeck)
        and (trunk.return_interm_layers, len(trunk.stage_ends), encoder.scalp) == (True, 4, 1)
        and (neck.fpn_top_down_levels, neck.fuse_type, neck.fpn_interp_model) == ([2, 3], "sum", "nearest")
        and all(level.conv.kernel_size == (1, 1) for level in neck.convs)
        and bool(model.use_high_res_features_in_sam)
    )


def image_features(model: SAM2Base, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features that ``forward_image(pixels)["backbone_fpn"]`` holds.

    Sums are in another order: of sam2.1 small, the largest difference is 1.4e-6 of the largest feature.

    Args:
        model: a model for which ``is_released_kind`` is true.
        pixels: (B, 3, S, S), normalized.

    Returns:
        (B, C/8, S/4, S/4), (B, C/4, S/8, S/8) and (B, C, S/16, S/16).
    """
    fine, middle, coarse, coarsest = _stages(model.image_encoder.trunk, pixels)
    decoder, neck = model.sam_mask_decoder, model.image_encoder.neck
    to_coarsest, to_coarse, to_middle, to_fine = (level.conv for level in neck.convs)
    above = _channels_first(_linear(coarsest, to_coarsest.weight.flatten(1), to_coarsest.bias))
    image = _channels_first(_linear(coarse, to_coarse.weight.flatten(1), to_coarse.bias))
    return (
        _channels_first(_both(fine, to_fine, decoder.conv_s0)),
        _channels_first(_both(middle, to_middle, decoder.conv_s1)),
        image + F.interpolate(above, scale_factor=2.0, mode=neck.fpn_interp_model),
    )


def _stages(trunk: Hiera, pixels: Tensor) -> list[Tensor]:
    """The last map of each stage, the finest first."""
    x = trunk.patch_embed(pixels.contiguous(memory_format=torch.channels_last))
    x = x + trunk._get_pos_embed(x.shape[1:3])
    stages = []
    for index, block in enumerate(trunk.blocks):
        x = _block(block, x)
        if index in trunk.stage_ends:
            stages.append(x)
    return stages


def _block(block: MultiScaleBlock, x: Tensor) -> Tensor:
    count, height, width, _ = x.shape
    size = block.window_size
    rows = max(1, TOKENS_AT_ONCE // (count * size * width)) * size if size else height
    if rows >= height:
        return _band(block, x)
    return torch.cat([_band(block, x[:, start : start + rows]) for start in range(0, height, rows)], dim=1)


def _band(block: MultiScaleBlock, x: Tensor) -> Tensor:
    """A block for rows that whole windows cover, or for the last rows of a map."""
    shortcut, x = x, _normed(block.norm1, x)
    if block.dim != block.dim_out:
        shortcut = _pooled(block, _linear(x, block.proj.weight, block.proj.bias))
    if block.window_size:
        x, (height, width) = window_partition(x, block.window_size)
        x = _attention(block, x)
        rows, columns = block.q_stride or (1, 1)
        padded = (height // rows, width // columns)
        x = window_unpartition(x, block.window_size // rows, padded, shortcut.shape[1:3])
    else:
        x = _attention(block, x)
    x = shortcut + x
    first, second = block.mlp.layers
    hidden = _linear(_normed(block.norm2, x), first.weight, first.bias, gelu=True)
    return _linear(hidden, second.weight, second.bias).add_(x)


def _attention(block: MultiScaleBlock, windows: Tensor) -> Tensor:
    """Attention within each of (n, h, w, C). With a query stride the result has fewer rows and columns."""
    layer = block.attn
    queries, keys, values = _linear(windows, layer.qkv.weight, layer.qkv.bias).chunk(3, dim=3)
    queries = _pooled(block, queries)
    q, k, v = (
        torch.unflatten(x.flatten(1, 2), 2, (layer.num_heads, -1)).transpose(1, 2) for x in (queries, keys, values)
    )
    attend = _attention_of_many if k.shape[2] >= MANY_TOKENS else F.scaled_dot_product_attention
    result = attend(q, k, v).transpose(1, 2).reshape(queries.shape)
    return _linear(result, layer.proj.weight, layer.proj.bias)


def _attention_of_many(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of (n, heads, L, d) by oneDNN's products, some queries at a time."""
    count, heads, length, channels = queries.shape
    result = queries.new_empty((count, length, heads, channels)).transpose(1, 2)
    queries = queries * channels**-0.5
    for n, head in product(range(count), range(heads)):
        key, value = keys[n, head].contiguous(), values[n, head].T.contiguous()
        for start in range(0, length, QUERIES_AT_ONCE):
            rows = slice(start, start + QUERIES_AT_ONCE)
            result[n, head, rows] = linear(linear(queries[n, head, rows], key).softmax(-1), value)
    return result


def _pooled(block: MultiScaleBlock, x: Tensor) -> Tensor:
    """The largest of each ``q_stride``, (B, H, W, C); torch's own pooling finds positions too, which takes longer."""
    if block.q_stride is None:
        return x
    rows, columns = block.q_stride
    return reduce(torch.maximum, [x[:, i::rows, j::columns] for i, j in product(range(rows), range(columns))])


def _both(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """Two 1 × 1 convolutions, one after the other."""
    outer = second.weight.flatten(1)
    bias = second.bias if first.bias is None else F.linear(first.bias, outer, second.bias)
    return _linear(x, outer @ first.weight.flatten(1), bias)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> Tensor:
    return linear(x.flatten(0, 2), weight, bias, gelu).view(*x.shape[:3], -1)


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
