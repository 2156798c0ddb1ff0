"""Attention that torch.nn does not have: heads of any width, and scores with a learned scale."""

import math
from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class MultiheadAttention(nn.Module):
    """`torch.nn.MultiheadAttention` whose heads may have any width, for keys and for values, and its output too.

    head_width: of queries and keys, embed_dim / num_heads by default; value_width: of values, head_width by default;
    output_width: of what comes out, embed_dim by default. Scores are divided by the root of head_width.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        kdim: Optional[int] = None,
        vdim: Optional[int] = None,
        batch_first: bool = False,
        *,
        head_width: Optional[int] = None,
        value_width: Optional[int] = None,
        output_width: Optional[int] = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.head_width = embed_dim // num_heads if head_width is None else head_width
        self.value_width = self.head_width if value_width is None else value_width
        keys, values = num_heads * self.head_width, num_heads * self.value_width
        place = {"device": device, "dtype": dtype}
        self.q_proj_weight: Optional[Tensor] = None
        self.k_proj_weight: Optional[Tensor] = None
        self.v_proj_weight: Optional[Tensor] = None
        self.in_proj_weight: Optional[Tensor] = None
        self.in_proj_bias: Optional[Tensor] = None
        self.q_proj_bias: Optional[Tensor] = None
        self.k_proj_bias: Optional[Tensor] = None
        self.v_proj_bias: Optional[Tensor] = None
        if kdim is None and vdim is None and keys == values:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * keys, embed_dim, **place))
        else:
            self.q_proj_weight = nn.Parameter(torch.empty(keys, embed_dim, **place))
            self.k_proj_weight = nn.Parameter(torch.empty(keys, kdim or embed_dim, **place))
            self.v_proj_weight = nn.Parameter(torch.empty(values, vdim or embed_dim, **place))
        if bias and keys == values:
            self.in_proj_bias = nn.Parameter(torch.empty(3 * keys, **place))
        elif bias:
            self.q_proj_bias = nn.Parameter(torch.empty(keys, **place))
            self.k_proj_bias = nn.Parameter(torch.empty(keys, **place))
            self.v_proj_bias = nn.Parameter(torch.empty(values, **place))
        self.out_proj = nn.Linear(values, output_width or embed_dim, bias=bias, **place)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch.nn.MultiheadAttention: matrices by Xavier, biases zero."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def extra_repr(self) -> str:
        """The sizes of the constructor."""
        widths = f"head_width={self.head_width}, value_width={self.value_width}"
        return f"{self.embed_dim}, {self.num_heads}, {widths}, output_width={self.out_proj.out_features}"

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        whole, biases = self.in_proj_weight, self.in_proj_bias
        q, k, v = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        a, b, c = self.q_proj_bias, self.k_proj_bias, self.v_proj_bias
        if whole is not None:
            q, k, v = whole.chunk(3)
        if biases is not None:
            a, b, c = biases.chunk(3)
        assert q is not None and k is not None and v is not None
        return functional.linear(query, q, a), functional.linear(key, k, b), functional.linear(value, v, c)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Optional[Tensor] = None,
        need_weights: bool = True,
        attn_mask: Optional[Tensor] = None,
        average_attn_weights: bool = True,
    ) -> Tuple[Tensor, Optional[Tensor]]:
        """As torch.nn.MultiheadAttention; masks are numbers that are added to the scores."""
        if not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        q, k, v = self._projected(query, key, value)
        q = q.unflatten(-1, (self.num_heads, self.head_width)).transpose(1, 2)
        k = k.unflatten(-1, (self.num_heads, self.head_width)).transpose(1, 2)
        v = v.unflatten(-1, (self.num_heads, self.value_width)).transpose(1, 2)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_width)
        if key_padding_mask is not None:
            scores = scores + key_padding_mask[:, None, None, :]
        if attn_mask is not None:
            scores = scores + (attn_mask if attn_mask.ndim == 2 else attn_mask.view_as(scores))
        weights = torch.softmax(scores, dim=-1)
        y = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        y = y if self.batch_first else y.transpose(0, 1)
        if not need_weights:
            return y, None
        return y, weights.mean(dim=1) if average_attn_weights else weights


class Attention(nn.Module):
    """softmax(scores) × value, as Keras's Attention and AdditiveAttention with learned numbers compute it.

    score: "dot": scale × (query · key); "additive": sum(scale × tanh(query + key)), a scale for each feature;
    "concat": score_weight × sum(tanh(scale × (query + key))). `width`: of an additive scale; 0 for one number.
    """

    def __init__(
        self, score: str = "dot", width: int = 0, scale: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if score not in ("dot", "additive", "concat"):
            raise ValueError(f"score={score!r}: expected 'dot', 'additive' or 'concat'")
        self.score, place = score, {"device": device, "dtype": dtype}
        self.scale: Optional[Tensor] = nn.Parameter(torch.ones([width] if width else [], **place)) if scale else None
        self.score_weight: Optional[Tensor] = nn.Parameter(torch.ones([], **place)) if score == "concat" else None

    def extra_repr(self) -> str:
        """How scores are computed."""
        return repr(self.score)

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        scale, weight = self.scale, self.score_weight
        if self.score == "dot":
            scores = query @ key.transpose(1, 2)
            return scores if scale is None else scores * scale
        both = query.unsqueeze(2) + key.unsqueeze(1)
        if weight is not None:
            return weight * torch.tanh(both if scale is None else scale * both).sum(-1)
        return torch.tanh(both).sum(-1) if scale is None else (scale * torch.tanh(both)).sum(-1)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, seen: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """(batch, time, features) each; `seen` tells the keys that each query sees: what comes out, and the weights."""
        scores = self._scores(query, key)
        if seen is not None:
            scores = torch.where(seen, scores, scores - 1e9)
        weights = torch.softmax(scores, dim=-1)
        return weights @ value, weights
