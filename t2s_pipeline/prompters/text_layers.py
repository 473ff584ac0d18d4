"""The text layers of Qwen2.5-VL, called without transformers' wrappers.

A token of an answer takes about 40 small operations per layer. In transformers' classes, as much time again goes into
calls of modules, masks that are made anew for each token, and copies. Here the same operations are called directly, in
the same order, so every number is the same to the last bit (tests/prompters/test_decoding.py).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from t2s_pipeline.prompters.exact_products import CutWeight, cut, linear


@dataclass(frozen=True)
class Layer:
    """The weights of a layer. Products of the same input are one product: weights one below the other."""

    norm: Tensor
    to_heads: CutWeight
    heads_bias: Tensor
    from_heads: CutWeight
    second_norm: Tensor
    to_gate_and_up: CutWeight
    down: CutWeight


@dataclass(frozen=True)
class TextLayers:
    """The text model of a Qwen2.5-VL, as it is now: weights that change later are not seen.

    Attributes:
        embedding: of the tokens (V, H).
        layers: in their order.
        norm: the weight of the last norm.
        epsilon: of the norms.
        heads: of queries.
        key_heads: of keys, and of values.
        head_size: D.
        rotation: transformers' module that makes the rotary embedding of positions.
    """

    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    epsilon: float
    heads: int
    key_heads: int
    head_size: int
    rotation: nn.Module

    def rms_norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """The root mean square norm, in float32 as transformers computes it."""
        wide = hidden.float()
        scale = wide.pow(2).mean(-1, keepdim=True).add_(self.epsilon).rsqrt_()
        return weight * (wide * scale).to(hidden.dtype)

    def rotations(self, count: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines (count, D) of the positions from 0 on, equal in all three axes as those of text are."""
        places = torch.arange(count, device=self.embedding.device)[None]
        cosines, sines = self.rotation(self.embedding, places)
        return cosines[0], sines[0]

    def per_query(self, states: Tensor) -> Tensor:
        """Keys or values (N, key heads, T, D), each once per head of queries that uses it: (N, heads, T, D)."""
        groups = self.heads // self.key_heads
        return states[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)

    def after_attention(self, layer: Layer, hidden: Tensor, attended: Tensor) -> Tensor:
        """What a layer does with the result of its attention (..., heads * D): the new hidden states (..., H)."""
        hidden = hidden + linear(attended, layer.from_heads)
        both = linear(self.rms_norm(hidden, layer.second_norm), layer.to_gate_and_up)
        gate, up = both.chunk(2, dim=-1)
        return hidden + linear(functional.silu(gate).mul_(up), layer.down)


def rotary(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The rotary embedding of states (..., D)."""
    first, second = states.chunk(2, dim=-1)
    return (states * cosines).add_(torch.cat((-second, first), dim=-1).mul_(sines))


def plain_text_model(model: PreTrainedModel) -> Any:
    """The text model, if it is Qwen2.5-VL's in float32 on a CPU, with nothing added or replaced; otherwise None.

    On a GPU this way was not run yet. Adapters, another attention and autocast compute something else.

    Args:
        model: of one of the families.
    """
    text: Any = getattr(model.base_model, "language_model", None)
    return text if type(text) is Qwen2_5_VLTextModel and _is_plain(text) else None


def text_layers(model: PreTrainedModel) -> TextLayers | None:
    """The text layers of a model; None if ``plain_text_model`` is None.

    Args:
        model: of one of the families.
    """
    text = plain_text_model(model)
    if text is None:
        return None
    config: Any = text.config
    return TextLayers(
        embedding=text.embed_tokens.weight,
        layers=tuple(_layer(module) for module in text.layers),
        norm=text.norm.weight,
        epsilon=config.rms_norm_eps,
        heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        head_size=config.hidden_size // config.num_attention_heads,
        rotation=text.rotary_emb,
    )


def _layer(module: Any) -> Layer:
    attention, mlp = module.self_attn, module.mlp
    inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
    return Layer(
        norm=module.input_layernorm.weight,
        to_heads=cut(torch.cat([module.weight for module in inputs])),
        heads_bias=torch.cat([module.bias for module in inputs]),
        from_heads=cut(attention.o_proj.weight),
        second_norm=module.post_attention_layernorm.weight,
        to_gate_and_up=cut(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])),
        down=cut(mlp.down_proj.weight),
    )


def _is_plain(text: Any) -> bool:
    config: Any = text.config
    linears = [part for part in text.layers.modules() if hasattr(part, "in_features")]
    return (
        text.device.type == "cpu"
        and text.dtype == torch.float32
        and config._attn_implementation == "sdpa"
        and config.hidden_act == "silu"
        and config.num_attention_heads > config.num_key_value_heads
        and config.rope_parameters["rope_type"] == "default"
        and not text.has_sliding_layers
        and all(type(part) is nn.Linear for part in linears)
        and not torch.is_autocast_enabled("cpu")
    )
