"""One pass of learning over small models of every shape: what recomputation must leave as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from model.small_encoders import ENCODERS
from model.small_encoders import scrambled as scrambled_other
from model.small_models import CONFIGS, block, model_config, scrambled, some_tokens
from model.small_permutations import PERMUTATIONS
from torch import Tensor, nn

from hornbook.model.attention import Attention
from hornbook.model.config import DecoderConfig, StackConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.mask import Mask
from hornbook.model.part_config import AttentionConfig, RelativeBiasConfig
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.parallel.recompute import Recomputation, recompute

TOKENS = some_tokens(2, 10)
DOCUMENTS = torch.arange(10).expand(2, 10) // 4
REAL = torch.arange(10).expand(2, 10) < torch.tensor([[7], [10]])

Loss = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Learned:
    """What a pass leaves behind."""

    loss: Tensor
    gradients: dict[str, Tensor]
    next_draw: Tensor
    """What the random stream gives after it."""


def decoder(name: str) -> tuple[nn.Module, Loss]:
    """A decoder of one wiring, and what it learns from packed documents."""
    mask = Mask(documents=DOCUMENTS)
    return scrambled(CONFIGS[name]), lambda model: surprise(model(TOKENS, mask), TOKENS.roll(-1, 1))


def encoder(name: str) -> tuple[nn.Module, Loss]:
    """An encoder of one wiring, and what it learns from padded rows."""
    config = ENCODERS[name]
    assert isinstance(config, MaskedLMConfig | ClassifierConfig)
    model = MaskedLM(config) if isinstance(config, MaskedLMConfig) else Classifier(config)
    mask = Mask(causal=model.sees.causal, padding=REAL)
    return scrambled_other(model), lambda model: model(TOKENS, mask).float().square().mean()


def encoder_decoder() -> tuple[nn.Module, Loss]:
    """One that adds a learned bias to its scores, and so hands blocks two tensors with gradients."""
    near = {"position": RelativeBiasConfig(n_buckets=8, max_distance=16), "scale": 1.0}
    reads = block(near | {"position": near["position"].model_copy(update={"both_ways": True})})
    writes = block(near, cross_attention=AttentionConfig(n_heads=2))
    fields = {name: getattr(model_config(), name) for name in StackConfig.model_fields}
    config = Seq2SeqConfig(
        encoder=StackConfig(**fields | {"pattern": (reads,)}),
        decoder=DecoderConfig(**fields | {"pattern": (writes,)}),
    )
    mask, target = Mask(causal=False, padding=REAL), TOKENS[:, :6]
    model = scrambled_other(Seq2SeqLM(config))
    return model, lambda model: surprise(model(TOKENS, target, mask), target.roll(-1, 1))


def two_streams(name: str) -> tuple[nn.Module, Loss]:
    """A model that learns in an order of its own, with two streams through every block."""
    model = scrambled_other(PermutationLM(PERMUTATIONS[name]))
    order = torch.tensor([3, 0, 5, 1, 4, 2, 7, 6, 9, 8]).expand(2, 10)
    return model, lambda model: surprise(model(TOKENS, order=order), TOKENS)


CASES: dict[str, Callable[[], tuple[nn.Module, Loss]]] = {
    **{name: lambda name=name: decoder(name) for name in CONFIGS},
    **{name: lambda name=name: encoder(name) for name in ENCODERS},
    **{f"two streams, {name}": lambda name=name: two_streams(name) for name in PERMUTATIONS},
    "encoder and decoder": encoder_decoder,
}


def surprise(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of what comes next."""
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def forgetful(model: nn.Module, share: float) -> None:
    """Drop this share of everything that a model can drop."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        elif isinstance(module, Attention):
            module.dropout = share


def learn(
    model: nn.Module, losses: Sequence[Loss], how: Recomputation, precision: torch.dtype = torch.float32
) -> Learned:
    """Forward and backward over the sum of some losses."""
    recompute(model, how)
    model.train()
    model.zero_grad()
    torch.manual_seed(7)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss = torch.stack([each(model) for each in losses]).sum()
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return Learned(loss.detach(), gradients, torch.rand(1))
