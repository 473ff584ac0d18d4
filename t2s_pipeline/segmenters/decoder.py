"""SAM2's mask decoder for many objects of one image.

The arithmetic and the weights are those of ``sam2.modeling.sam.mask_decoder.MaskDecoder``. The differences:

- What the first block computes from the image alone is computed once, not once per object.
- Objects with fewer points than others are padded, and attention ignores the padding. So they share one call. (sam2's
  own padding, a point of the label −1, is a token that gets attention: it would change the mask.)
- Image tokens stay in one memory order, channels last. So a 2 × 2 transposed convolution with stride 2 is a matrix
  product, a layer norm takes one pass, and only the final logits are put into rows and columns.
- On a CPU large products are oneDNN's (``products``).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import TwoWayAttentionBlock
from torch import Tensor

from t2s_pipeline.segmenters.attention import (
    image_to_tokens,
    shared_image_to_tokens,
    tokens_to_image,
    tokens_to_shared_image,
    tokens_to_tokens,
)
from t2s_pipeline.segmenters.products import products_of_rows


@dataclass(frozen=True)
class DecoderImage:
    """The tensors that all objects of an image share. N = height × width tokens of C channels.

    Attributes:
        height: of the token map.
        width: of the token map.
        tokens: (1, N, C), with the embedding for "no mask given" added.
        position: (1, N, C), the position encoding.
        query: (1, N, C/2), the first block's projection to queries.
        key: (1, N, C/2), the first block's projection to keys.
        value: (1, N, C/2), the first block's projection to values.
        middle: (1, 4N, C/4), high-resolution features in the order of ``_upscaled``.
        fine: (1, 16N, C/8), high-resolution features in the order of ``_upscaled``.
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
        decoder: sam2's mask decoder.
        image: (1, C, h, w), the embedding.
        position: (1, C, h, w), the prompt encoder's dense position encoding.
        no_mask: (1, C), the prompt encoder's embedding for "no mask given".
        high_res: (1, C/8, 4h, 4w) and (1, C/4, 2h, 2w).
    """
    _, _, height, width = image.shape
    tokens = image.flatten(2).transpose(1, 2) + no_mask
    position = position.flatten(2).transpose(1, 2).contiguous()
    first = decoder.transformer.layers[0]
    keys = tokens + position
    fine, middle = high_res
    # The features are only added later, so the biases of the transposed convolutions can be added to them here.
    first_up, _, _, second_up, _ = decoder.output_upscaling
    return DecoderImage(
        height,
        width,
        tokens.contiguous(),
        position,
        first.cross_attn_image_to_token.q_proj(keys),
        first.cross_attn_token_to_image.k_proj(keys),
        first.cross_attn_token_to_image.v_proj(tokens),
        _nested(middle, height, width, 1) + first_up.bias,
        _nested(fine, height, width, 2) + second_up.bias,
    )


def decode(
    decoder: MaskDecoder, image: DecoderImage, prompts: Tensor, real: Tensor | None, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Mask logits (n, 4h, 4w) of n objects, and the estimated IoU of each, (n,).

    Args:
        decoder: sam2's mask decoder.
        image: what ``prepare`` computed.
        prompts: (n, P, C), the embeddings of the points.
        real: bool (n, P), false for padding; None if all objects have equally many points.
        multimask: take the best-scored of the three ambiguity masks instead of the single-mask output. (In the
            released models an unstable single mask is always replaced by it.)
    """
    score_token = [decoder.obj_score_token.weight] if decoder.pred_obj_scores else []
    output_tokens = torch.cat([*score_token, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(len(prompts), -1, -1), prompts], dim=1)
    visible = None
    if real is not None:
        visible = F.pad(real, (len(output_tokens), 0), value=True)
    outputs, image_tokens = _transform(decoder, image, tokens, visible)
    iou_index = int(decoder.pred_obj_scores)
    masks = range(1 if multimask else 0, decoder.num_mask_tokens)
    hyper = torch.stack(
        [decoder.output_hypernetworks_mlps[i](outputs[:, iou_index + 1 + i]) for i in masks],
        dim=2,
    )
    upscaled = _upscaled(decoder, image, image_tokens)
    logits = products_of_rows(upscaled, hyper.transpose(1, 2)).transpose(1, 2)
    scores = decoder.iou_prediction_head(outputs[:, iou_index])[:, masks.start :]
    best = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    if multimask:
        best = scores.argmax(dim=1)
    elif decoder.dynamic_multimask_via_stability:
        # It counts logits, in whatever order they are. So only the mask that it takes is put into rows and columns.
        logits, scores = decoder._dynamic_multimask_via_stability(logits[..., None], scores)
    rows = torch.arange(len(best), device=best.device)
    return _unnested(logits.flatten(2)[rows, best], image.height, image.width, 2), scores[rows, best]


def _transform(
    decoder: MaskDecoder, image: DecoderImage, tokens: Tensor, visible: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The two-way transformer: tokens (n, T, C) and image tokens (n, N, C) after attention in both directions."""
    transformer = decoder.transformer
    queries, keys = tokens, image.tokens
    for index, block in enumerate(transformer.layers):
        queries, keys = _block(block, image, queries, keys, tokens, visible, shared=index == 0)
    update = tokens_to_image(transformer.final_attn_token_to_image, queries + tokens, keys + image.position, keys)
    return transformer.norm_final_attn(queries + update), keys


def _block(
    block: TwoWayAttentionBlock,
    image: DecoderImage,
    queries: Tensor,
    keys: Tensor,
    tokens: Tensor,
    visible: Tensor | None,
    shared: bool,
) -> tuple[Tensor, Tensor]:
    """One block. ``shared``: all objects still share the image's own ``keys``, (1, N, C)."""
    to_image, to_tokens = block.cross_attn_token_to_image, block.cross_attn_image_to_token
    if block.skip_first_layer_pe:
        queries = tokens_to_tokens(block.self_attn, queries, queries, visible)
    else:
        queries = queries + tokens_to_tokens(block.self_attn, queries + tokens, queries, visible)
    queries = block.norm1(queries)
    positioned = keys if shared else keys + image.position
    if shared:
        update = tokens_to_shared_image(to_image, queries + tokens, image.key, image.value)
    else:
        update = tokens_to_image(to_image, queries + tokens, positioned, keys)
    queries = block.norm2(queries + update)
    queries = block.norm3(queries + block.mlp(queries))
    if shared:
        update = shared_image_to_tokens(to_tokens, image.query, queries + tokens, queries, visible)
    else:
        update = image_to_tokens(to_tokens, positioned, queries + tokens, queries, visible)
    # In place if the types agree. Under autocast the product has fewer bits than the keys.
    update = update.add_(keys) if update.dtype == keys.dtype else keys + update
    return queries, block.norm4(update)


def _upscaled(decoder: MaskDecoder, image: DecoderImage, tokens: Tensor) -> Tensor:
    """(n, 16N, C/8): the 4 × 4 positions of each image token (n, N, C), the coarser 2 × 2 first."""
    first, norm, first_act, second, second_act = decoder.output_upscaling
    up = _split(first.weight, tokens).add_(image.middle)
    up = first_act(F.layer_norm(up, (up.shape[2],), norm.weight, norm.bias, norm.eps))
    result: Tensor = second_act(_split(second.weight, up).add_(image.fine))
    return result


def _split(weight: Tensor, tokens: Tensor) -> Tensor:
    """A transposed convolution of kernel 2 and stride 2, without bias: (n, L, C) → (n, 4L, D)."""
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    return products_of_rows(tokens, matrix).view(len(tokens), -1, weight.shape[1])


def _nested(features: Tensor, height: int, width: int, times: int) -> Tensor:
    """(1, D, h·2ᵗ, w·2ᵗ) → (1, h·w·4ᵗ, D), in the order that ``_split`` produces."""
    depth = features.shape[1]
    grid = features.view(1, depth, height, *[2] * times, width, *[2] * times)
    rows, columns = range(2, 3 + times), range(3 + times, 4 + 2 * times)
    order = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    return grid.permute(0, *order, 1).reshape(1, -1, depth).contiguous()


def _unnested(tokens: Tensor, height: int, width: int, times: int) -> Tensor:
    """(n, h·w·4ᵗ) → (n, h·2ᵗ, w·2ᵗ): the inverse of ``_nested``."""
    grid = torch.unflatten(tokens, 1, (height, width, *[2] * (2 * times)))
    rows, columns = range(1, 3 + 2 * times, 2), range(2, 3 + 2 * times, 2)
    return grid.permute(0, *rows, *columns).reshape(len(tokens), height << times, width << times)
