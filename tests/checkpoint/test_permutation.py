"""XLNet of Hugging Face: both streams are what transformers computes, in and out.

There a query stream is asked for by `target_mapping`, which names the positions that it has, and an order is
told by `perm_mask`, in which 1 hides a key from a query. `test_hugging_face.py` does the same for decoders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint.published import drawn, pairs
from checkpoint.published_permutation import PERMUTATION_CASES, SIZES
from checkpoint.test_hugging_face import assert_same, edited

from hornbook.base.errors import ConfigError, HornbookError
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.model.encoder_config import MaskedHeadConfig
from hornbook.model.families.family import MODULES, as_computed, load_families, load_family, read_config
from hornbook.model.mask import Mask
from hornbook.model.part_config import RelativeContentConfig
from hornbook.model.permutation import PermutationLM
from hornbook.model.permutation_config import PermutationLMConfig

transformers = pytest.importorskip("transformers")

every_case = pytest.mark.parametrize("case", PERMUTATION_CASES)
SEQ_LEN = 20


def published(case: str) -> Any:
    """A model of transformers with every parameter drawn, gains and biases too, in evaluation mode."""
    return drawn(transformers.XLNetLMHeadModel._from_config(PERMUTATION_CASES[case]()))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a case, and ours read from its folder; each is made once."""
    return pairs(published, tmp_path_factory)


def some_inputs(
    config: PermutationLMConfig, seq_len: int = SEQ_LEN, seed: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, their segments, and an order of them."""
    generator = torch.Generator().manual_seed(seed)
    tokens, segments = (
        torch.randint(kinds, (2, seq_len), generator=generator) for kinds in (config.vocab_size, 3)
    )
    return tokens, segments, torch.rand((2, seq_len), generator=generator).argsort()


def in_their_words(order: torch.Tensor) -> dict[str, torch.Tensor]:
    """An order of distinct places, and a query stream at all positions."""
    rows, seq_len = order.shape
    return {
        "perm_mask": (order[:, None, :] >= order[:, :, None]).float(),
        "target_mapping": torch.eye(seq_len).expand(rows, seq_len, seq_len),
    }


def same_gradients(ours: Any, theirs: Any, logits: torch.Tensor, wanted: torch.Tensor) -> None:
    """Those of the embeddings, for logits that are the same."""
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for model, out in ((ours, logits), (theirs, wanted)):
        model.zero_grad()
        (out * direction / out.size(0)).sum().backward()
    assert_same(ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad)


@every_case
def test_logits_and_gradients_are_those_of_transformers(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    assert type(ours) is PermutationLM
    tokens, segments, _ = some_inputs(config)
    logits, wanted = ours(tokens, segments=segments), theirs(tokens, token_type_ids=segments).logits
    assert_same(logits, wanted)
    same_gradients(ours, theirs, logits, wanted)
    assert_same(ours(tokens), theirs(tokens).logits)


@every_case
def test_the_query_stream_is_that_of_transformers(case: str, pair: Any) -> None:
    """Save for the first of an order, to which transformers shows everything (see below)."""
    theirs, config, ours, _ = pair(case)
    tokens, segments, order = some_inputs(config)
    logits = ours(tokens, segments=segments, order=order)[order > 0]
    wanted = theirs(tokens, token_type_ids=segments, **in_their_words(order)).logits[order > 0]
    assert_same(logits, wanted)
    same_gradients(ours, theirs, logits, wanted)
    assert_same(ours.query.weight.grad, theirs.transformer.mask_emb.grad[0])


@every_case
def test_few_tokens_are_predicted_from_all_others(case: str, pair: Any) -> None:
    """As XLNet is trained: what is known shares the first place, and is seen by all."""
    theirs, config, ours, _ = pair(case)
    tokens, segments, order = some_inputs(config)
    order = (order - 13).clamp(min=0)
    n_places = SEQ_LEN - 13
    targets = torch.stack([(order == place).int().argmax(1) for place in range(1, n_places)], dim=1)
    unseen = (order[:, None, :] >= order[:, :, None]) & (order > 0)[:, None, :]
    mapping = torch.nn.functional.one_hot(targets, SEQ_LEN).float()
    wanted = theirs(tokens, token_type_ids=segments, perm_mask=unseen.float(), target_mapping=mapping).logits
    logits = ours(tokens, segments=segments, order=order)
    chosen = logits.gather(1, targets[:, :, None].expand(-1, -1, config.vocab_size))
    assert_same(chosen, wanted)
    same_gradients(ours, theirs, chosen, wanted)


@every_case
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(case: str, side: str, pair: Any) -> None:
    """In transformers padding sees itself in the content stream, which nobody sees again."""
    theirs, config, ours, _ = pair(case)
    tokens, segments, order = some_inputs(config, 9)
    real = torch.ones_like(tokens, dtype=torch.bool)
    text = slice(4, 9) if side == "left" else slice(0, 5)
    real[1] = False
    real[1, text] = True
    mask = Mask(causal=False, padding=real)
    padded = torch.where(real, tokens, theirs.config.pad_token_id)
    sees_some = ((order[:, None, :] < order[:, :, None]) & real[:, None, :]).any(-1)
    for own, said, compared in (
        (None, {}, real),
        (order, in_their_words(order), real & sees_some),
    ):
        given = {"attention_mask": real.float(), "token_type_ids": segments, **said}
        with torch.no_grad():
            logits, wanted = ours(tokens, mask, segments=segments, order=own), theirs(padded, **given).logits
            alone = ours(
                tokens[1:, text], segments=segments[1:, text], order=None if own is None else own[1:, text]
            )
        assert_same(logits[compared], wanted[compared])
        assert_same(alone[0], logits[1, text])


def test_transformers_shows_the_first_of_an_order_everything(pair: Any) -> None:
    """A query that may see nothing gets the mean of all values there, its own token's too; here it gets none.

    In its training the first one is never asked for, so that this stands in no published number.
    """
    theirs, config, ours, _ = pair("xlnet")
    tokens, _, order = some_inputs(config)
    first = order == 0
    changed = torch.where(first, (tokens + 1) % config.vocab_size, tokens)
    with torch.no_grad():
        told, other = (theirs(each, **in_their_words(order)).logits[first] for each in (tokens, changed))
        assert not torch.allclose(told, other, atol=1e-3)
        assert torch.equal(ours(tokens, order=order)[first], ours(changed, order=order)[first])


@every_case
def test_it_goes_out_as_it_came_in(case: str, pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, _ = pair(case)
    assert write_model(ours, config, tmp_path / "out") == "xlnet"
    again_config, again = read_model(tmp_path / "out")
    assert as_computed(again_config) == as_computed(config)
    assert again_config.pattern[0].dropout == config.pattern[0].dropout == theirs.config.dropout
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name
    loaded, found = type(theirs).from_pretrained(
        tmp_path / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not found["missing_keys"] and not found["unexpected_keys"]
    tokens, segments, order = some_inputs(config, seed=3)
    for said in ({}, in_their_words(order)):
        with torch.no_grad():
            out, wanted = (
                model(tokens, token_type_ids=segments, **said).logits for model in (loaded.eval(), theirs)
            )
        torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


@every_case
def test_it_is_the_same_in_bfloat16_within_its_bound(case: str, pair: Any) -> None:
    """Bfloat16 keeps eight bits, and a few layers of rounding at that lose some more."""
    _, config, ours, _ = pair(case)
    tokens, segments, order = some_inputs(config, 12)
    for own in (None, order):
        with torch.no_grad():
            whole = ours(tokens, segments=segments, order=own)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = ours(tokens, segments=segments, order=own).float()
        assert (rounded - whole).square().mean() < (0.06 * whole.std()) ** 2


def test_every_family_of_permutations_has_a_case() -> None:
    families = {name for name in MODULES if load_families(name)[0].shape is PermutationLMConfig}
    assert {make().model_type for make in PERMUTATION_CASES.values()} == families


# Spellings, and what is refused

FIRST = {
    "attn_type": "bi", "bi_data": False, "bos_token_id": 1, "clamp_len": -1, "d_head": 6, "d_inner": 40,
    "d_model": 24, "dropatt": 0.1, "dropout": 0.1, "end_n_top": 5, "eos_token_id": 2, "ff_activation": "gelu",
    "init": "normal", "init_range": 0.1, "init_std": 0.02, "layer_norm_eps": 1e-12, "mem_len": None,
    "model_type": "xlnet", "n_head": 4, "n_layer": 3, "n_token": 37, "pad_token_id": 5, "reuse_len": None,
    "same_length": False, "start_n_top": 5, "summary_activation": "tanh", "summary_last_dropout": 0.1,
    "summary_type": "last", "summary_use_proj": True, "untie_r": True,
}  # fmt: skip
"""What the first files have."""


def read(attributes: dict[str, Any]) -> PermutationLMConfig:
    return read_config(load_family("xlnet", PermutationLMConfig), attributes, "config.json")


def test_the_spellings_of_all_ages_are_read() -> None:
    written = json.loads(PERMUTATION_CASES["xlnet"]().to_json_string())
    config = read(written)
    assert config.max_seq_len == SIZES["seq_length"]
    renamed = {
        "d_model": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
        "vocab_size": "n_token",
    }
    assert read({renamed.get(name, name): value for name, value in written.items()}) == config
    assert read({**FIRST, "seq_length": 20}) == config
    assert read(FIRST).max_seq_len == 512, "the length that it was trained with"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"architectures": ["XLNetForSequenceClassification"]}, ["Classification", "only XLNetLMHeadModel"]),
        ({"architectures": ["XLNetModel"]}, ["XLNetModel", "only XLNetLMHeadModel"]),
        ({"attn_type": "uni"}, ["attn_type = 'uni'", "'bi'"]),
        ({"bi_data": True}, ["bi_data = True", "False"]),
        ({"d_head": 5}, ["d_head = 5", "only 6"]),
        ({"ff_activation": "snake"}, ["ff_activation = 'snake'"]),
        ({"hidden_size": 20}, ["hidden_size = 20", "d_model says otherwise"]),
        ({"made_up": 3}, ["made_up = 3", "not understood"]),
        ({"n_head": 5, "d_head": 4}, ["n_heads 5 does not divide d_model 24"]),
        ({"n_layer": 4}, ["lacks tensors", "transformer.layer.3."]),
        ({"tie_word_embeddings": False}, ["lacks tensors", "lm_loss.weight"]),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    attributes: dict[str, Any], words: list[str], pair: Any, tmp_path: Path
) -> None:
    folder = edited(pair("xlnet")[3], tmp_path / "edited", **attributes)
    with pytest.raises(HornbookError) as caught:
        read_model(folder)
    assert [word for word in words if word not in str(caught.value)] == []


def test_what_it_has_no_word_for_is_named(pair: Any, tmp_path: Path) -> None:
    _, config, _, _ = pair("xlnet")
    block = config.pattern[0]

    def other(**fields: Any) -> PermutationLMConfig:
        attention = block.attention.model_copy(update=fields)
        return config.model_copy(update={"pattern": (block.model_copy(update={"attention": attention}),)})

    transformed = config.model_copy(update={"head": MaskedHeadConfig()})
    for changed, words in (
        (other(position=RelativeContentConfig()), "by_segment = False"),
        (other(n_kv_heads=2), "n_kv_heads = 2"),
        (other(head_dim=8), "d_head = 8 is refused, because only 6"),
        (transformed, "it cannot say head.transform"),
    ):
        with pytest.raises(ConfigError, match=words):
            write_model(PermutationLM(changed, 0), changed, tmp_path / "out", "xlnet")
    assert list(tmp_path.iterdir()) == []
