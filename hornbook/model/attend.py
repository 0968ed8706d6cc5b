"""The one place that knows attention kernels: `attend` picks one, `reference.attend` says what it means.

Today every device runs PyTorch's scaled_dot_product_attention, without a mask tensor where the mask is
plainly causal or hides nothing, and with a dense boolean one otherwise.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hornbook.model.mask import Mask


def attend(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    mask: Mask,
) -> Float[Tensor, "batch heads query head_dim"]:
    """Mix the values by how well queries and keys agree: softmax(q k^T / sqrt(head_dim)) v.

    Query heads share key and value heads in order when there are fewer of those (Ainslie et al. 2023).
    """
    n_query, n_key = q.size(-2), k.size(-2)
    plain = mask.is_plain(n_query, n_key)
    dense = None
    if not plain and not mask.hides_nothing(n_query, n_key):
        dense = mask.dense(n_query, n_key, q.device)
    grouped = q.size(1) != k.size(1)
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=dense, is_causal=plain, enable_gqa=grouped
    )
