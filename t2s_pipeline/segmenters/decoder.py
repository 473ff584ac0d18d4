"""SAM2's mask decoder for many objects of one image.  [torch]

The arithmetic is that of ``sam2.modeling.sam.mask_decoder.MaskDecoder``, the weights are its own; what differs:

- what the first block makes of the image alone is computed once, not once for each object;
- objects with fewer points than others are filled up and the filling is hidden from attention, so that they share
  a call. (sam2's own filling, label −1, is a token that every other attends to: it would change the mask.)
- image tokens stay in one memory order, channels last: a 2 × 2 transposed convolution with stride 2 is then a matrix
  product, a layer norm one pass, and only the finished logits are put into rows and columns.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import TwoWayAttentionBlock
from torch import Tensor

from t2s_pipeline.segmenters.attention import image_looks, look_at_each_other, look_at_image, look_at_same_image


@dataclass(frozen=True)
class DecoderImage:
    """What all objects of an image share. N = height × width tokens of C channels.

    Attributes:
        height, width: of the token map.
        tokens, position: (1, N, C); ``tokens`` with the "no mask given" embedding already added.
        query, key, value: (1, N, C/2), the first block's projections of them.
        middle, fine: (1, 4N, C/4) and (1, 16N, C/8), the high-resolution features in the order of ``_upscaled``.
    """

    height: int
    width: int
    tokens: Tensor
    position: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    middle: Tensor
    fine: Tensor


def prepare(
    decoder: MaskDecoder, image: Tensor, position: Tensor, no_mask: Tensor, high_res: tuple[Tensor, Tensor]
) -> DecoderImage:
    """Compute what does not depend on the prompts.

    Args:
        image: (1, C, h, w), the embedding.
        position: (1, C, h, w), the prompt encoder's dense position encoding.
        no_mask: (1, C), the prompt encoder's embedding for "no mask given".
        high_res: (1, C/8, 4h, 4w) and (1, C/4, 2h, 2w).
    """
    _, _, height, width = image.shape
    tokens = image.flatten(2).transpose(1, 2) + no_mask
    position = position.flatten(2).transpose(1, 2).contiguous()
    first = decoder.transformer.layers[0]
    seen = tokens + position
    fine, middle = high_res
    # The features are only ever added, so the transposed convolutions' biases ride along.
    first_up, _, _, second_up, _ = decoder.output_upscaling
    return DecoderImage(
        height,
        width,
        tokens.contiguous(),
        position,
        first.cross_attn_image_to_token.q_proj(seen),
        first.cross_attn_token_to_image.k_proj(seen),
        first.cross_attn_token_to_image.v_proj(tokens),
        _nested(middle, height, width, 1) + first_up.bias,
        _nested(fine, height, width, 2) + second_up.bias,
    )


def decode(
    decoder: MaskDecoder, image: DecoderImage, prompts: Tensor, real: Tensor | None, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Mask logits (n, 4h, 4w) of n objects, and the estimated IoU of each, (n,).

    Args:
        prompts: (n, P, C), the embedded points.
        real: (n, P) bool, false where an object was filled up; None where all have equally many points.
        multimask: take the best-scored of the three ambiguity masks instead of the single-mask output (which, in
            the released models, gives way to it by itself where it is unstable).
    """
    own = [decoder.obj_score_token.weight] if decoder.pred_obj_scores else []
    own = torch.cat([*own, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(prompts), -1, -1), prompts], dim=1)
    visible = None
    if real is not None:
        visible = F.pad(real, (len(own), 0), value=True)
    answers, seen = _transform(decoder, image, tokens, visible)
    place = int(decoder.pred_obj_scores)
    masks = range(1 if multimask else 0, decoder.num_mask_tokens)
    hyper = torch.stack(
        [decoder.output_hypernetworks_mlps[i](answers[:, place + 1 + i]) for i in masks],
        dim=2,
    )
    logits = _unnested((_upscaled(decoder, image, seen) @ hyper).transpose(1, 2), image.height, image.width, 2)
    scores = decoder.iou_prediction_head(answers[:, place])[:, masks.start :]
    if not multimask:
        if decoder.dynamic_multimask_via_stability:
            logits, scores = decoder._dynamic_multimask_via_stability(logits, scores)
        return logits[:, 0], scores[:, 0]
    best = scores.argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return logits[rows, best], scores[rows, best]


def _transform(
    decoder: MaskDecoder, image: DecoderImage, tokens: Tensor, visible: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The two-way transformer: tokens (n, T, C) and image tokens (n, N, C) after having looked at each other."""
    transformer = decoder.transformer
    queries, keys = tokens, image.tokens
    for index, block in enumerate(transformer.layers):
        queries, keys = _block(block, image, queries, keys, tokens, visible, shared=index == 0)
    found = look_at_image(transformer.final_attn_token_to_image, queries + tokens, keys + image.position, keys)
    return transformer.norm_final_attn(queries + found), keys


def _block(
    block: TwoWayAttentionBlock,
    image: DecoderImage,
    queries: Tensor,
    keys: Tensor,
    tokens: Tensor,
    visible: Tensor | None,
    shared: bool,
) -> tuple[Tensor, Tensor]:
    """One block; ``shared`` says that ``keys`` are still the image's own, (1, N, C)."""
    if block.skip_first_layer_pe:
        queries = look_at_each_other(block.self_attn, queries, queries, visible)
    else:
        queries = queries + look_at_each_other(block.self_attn, queries + tokens, queries, visible)
    queries = block.norm1(queries)
    seen = None if shared else keys + image.position
    if shared:
        found = look_at_same_image(block.cross_attn_token_to_image, queries + tokens, image.key, image.value)
    else:
        found = look_at_image(block.cross_attn_token_to_image, queries + tokens, seen, keys)
    queries = block.norm2(queries + found)
    queries = block.norm3(queries + block.mlp(queries))
    found = image_looks(
        block.cross_attn_image_to_token, seen, queries + tokens, queries, visible, image.query if shared else None
    )
    # In place where types agree; under autocast the product is shorter than what it is added to.
    found = found.add_(keys) if found.dtype == keys.dtype else keys + found
    return queries, block.norm4(found)


def _upscaled(decoder: MaskDecoder, image: DecoderImage, seen: Tensor) -> Tensor:
    """(n, 16N, C/8): each token's 4 × 4 places, the coarser 2 × 2 first."""
    first, norm, first_act, second, second_act = decoder.output_upscaling
    up = _split(first.weight, seen).add_(image.middle)
    up = first_act(F.layer_norm(up, (up.shape[2],), norm.weight, norm.bias, norm.eps))
    return second_act(_split(second.weight, up).add_(image.fine))


def _split(weight: Tensor, tokens: Tensor) -> Tensor:
    """A transposed convolution of kernel 2 and stride 2, without bias: (n, L, C) → (n, 4L, D)."""
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(tokens, matrix).view(len(tokens), -1, weight.shape[1])


def _nested(features: Tensor, height: int, width: int, times: int) -> Tensor:
    """(1, D, h·2ᵗ, w·2ᵗ) → (1, h·w·4ᵗ, D) in the order in which ``_split`` makes them."""
    depth = features.shape[1]
    grid = features.view(1, depth, height, *[2] * times, width, *[2] * times)
    rows, columns = range(2, 3 + times), range(3 + times, 4 + 2 * times)
    order = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    return grid.permute(0, *order, 1).reshape(1, -1, depth).contiguous()


def _unnested(tokens: Tensor, height: int, width: int, times: int) -> Tensor:
    """(n, m, h·w·4ᵗ) → (n, m, h·2ᵗ, w·2ᵗ): the inverse of ``_nested``."""
    grid = tokens.unflatten(2, (height, width, *[2] * (2 * times)))
    rows, columns = range(2, 4 + 2 * times, 2), range(3, 4 + 2 * times, 2)
    return grid.permute(0, 1, *rows, *columns).reshape(*tokens.shape[:2], height << times, width << times)
