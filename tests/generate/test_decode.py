"""Token by token: with the cache as without it, past the context, and leaving the model as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from model.small_models import CONFIGS, block, model_config, scrambled, some_tokens

from hornbook.base.errors import ConfigError, TextError
from hornbook.generate import reference
from hornbook.generate.decode import Context, extend, generate_ids
from hornbook.generate.sampling import SamplingConfig
from hornbook.model.models import CausalLM

GREEDY = SamplingConfig(temperature=0.0)
SAMPLINGS = {
    "greedy": GREEDY,
    "warm": SamplingConfig(temperature=1.5),
    "top_k": SamplingConfig(temperature=1.2, top_k=5),
    "both": SamplingConfig(temperature=1.0, top_k=12, top_p=0.7),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generated(model: CausalLM, prompt: list[int], count: int, **changes: Any) -> list[int]:
    """The tokens made with the seed 0, greedily unless told otherwise."""
    defaults: dict[str, Any] = {"sampling": GREEDY, "generator": generator()}
    return list(generate_ids(model, prompt, max_new_tokens=count, **defaults | changes))


@pytest.fixture
def model() -> CausalLM:
    return scrambled(CONFIGS["grouped"])


PROMPTS = [1, 5, 12, 13, 40]
"""Lengths around the context of 12: all outgrow it while the text is made, the last two at once."""

CASES = [
    *[(name, "both", 5) for name in CONFIGS],
    *[(name, "greedy", 9) for name in CONFIGS],
    *[("local and global", sampling, length) for sampling in SAMPLINGS for length in PROMPTS],
]


@pytest.mark.parametrize(("name", "sampling", "prompt_length"), CASES)
def test_ids_are_those_of_the_reference(name: str, sampling: str, prompt_length: int) -> None:
    model = scrambled(CONFIGS[name])
    prompt = some_tokens(1, prompt_length)[0].tolist()
    wanted = reference.generate(model, prompt, SAMPLINGS[sampling], 20, frozenset(), generator(5))
    assert generated(model, prompt, 20, sampling=SAMPLINGS[sampling], generator=generator(5)) == wanted
    assert len(wanted) == 20


def test_past_the_context_the_last_half_is_read_again(model: CausalLM) -> None:
    context = Context(model)
    context.add(range(12))
    assert context.tokens == list(range(12))
    context.add([20])
    assert context.tokens == [7, 8, 9, 10, 11, 20]
    torch.testing.assert_close(context.scores(), model(torch.tensor([context.tokens]))[:, -1])


@pytest.mark.parametrize("max_seq_len", [1, 2, 7])
def test_the_smallest_and_odd_contexts_generate_too(max_seq_len: int) -> None:
    model = scrambled(model_config(max_seq_len=max_seq_len))
    wanted = reference.generate(model, [3, 4], SAMPLINGS["warm"], 20, frozenset(), generator())
    assert generated(model, [3, 4], 20, sampling=SAMPLINGS["warm"]) == wanted


def test_each_token_is_read_once(model: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache is for: after the prompt, one token at a time."""
    lengths: list[int] = []
    features = model.features

    def counted(tokens: torch.Tensor, **keywords: Any) -> torch.Tensor:
        lengths.append(tokens.size(1))
        return features(tokens, **keywords)

    monkeypatch.setattr(model, "features", counted)
    generated(model, [1, 2, 3, 4], 5)
    assert lengths == [4, 1, 1, 1, 1]


def test_stop_tokens_end_the_text_and_are_not_given_out(model: CausalLM) -> None:
    sampling = SAMPLINGS["warm"]
    free = generated(model, [1], 20, sampling=sampling)
    last = free[7]
    stopped = generated(model, [1], 20, sampling=sampling, stop=frozenset({last}))
    assert stopped == free[: free.index(last)]
    assert reference.generate(model, [1], sampling, 20, frozenset({last}), generator()) == stopped


def test_seeds_decide(model: CausalLM) -> None:
    sampling = SAMPLINGS["warm"]
    texts = [generated(model, [1], 12, sampling=sampling, generator=generator(seed)) for seed in (0, 0, 1, 2)]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) == 3


def test_global_randomness_is_neither_used_nor_moved(model: CausalLM) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = generated(model, [1], 8, sampling=SAMPLINGS["warm"])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    assert generated(model, [1], 8, sampling=SAMPLINGS["warm"]) == first


def test_two_texts_can_be_made_at_once(model: CausalLM) -> None:
    def start(token: int) -> Iterator[int]:
        return generate_ids(model, [token], sampling=GREEDY, max_new_tokens=9, generator=generator())

    both = list(zip(start(1), start(2), strict=True))
    assert [a for a, _ in both] == generated(model, [1], 9)
    assert [b for _, b in both] == generated(model, [2], 9)


def test_the_model_is_as_before_between_tokens() -> None:
    """Dropout is off while a token is made, and each module's own mode is back when it is out."""
    model = scrambled(model_config(block(dropout=0.5))).train()
    model.blocks[0].eval()
    modes = [module.training for module in model.modules()]
    tokens = generate_ids(model, [1], sampling=GREEDY, max_new_tokens=8, generator=generator())
    made = []
    for token in tokens:
        made.append(token)
        assert [module.training for module in model.modules()] == modes
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
    assert made == generated(model.eval(), [1], 8)
    loss = model(some_tokens(1, 4)).square().mean()
    loss.backward()  # nothing of the generation clings to the weights


def test_modes_come_back_when_a_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scrambled(CONFIGS["rotary"]).train()
    tokens = generate_ids(model, [1], sampling=GREEDY, max_new_tokens=8, generator=generator())
    next(tokens)

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.blocks[1], "forward", fail)
    with pytest.raises(KeyboardInterrupt):
        next(tokens)
    assert all(module.training for module in model.modules())


def test_a_context_survives_an_interrupt(model: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between two layers leaves a cache with one token more in one than in the other."""
    context = Context(model)
    context.add([1, 2, 3])
    context.scores()
    context.add([4])

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(model.blocks[1], "forward", fail)
        with pytest.raises(KeyboardInterrupt):
            context.scores()
    torch.testing.assert_close(context.scores(), model(torch.tensor([[1, 2, 3, 4]]))[:, -1])


def test_a_context_can_be_extended_again_and_again(model: CausalLM) -> None:
    """Pieces in between make the text that one prompt with all of them makes."""
    context = Context(model)
    history: list[int] = []
    for piece in ([1, 2], [3], [4, 5]):
        made = list(extend(context, piece, sampling=GREEDY, max_new_tokens=2, generator=generator()))
        assert made == generated(model, history + piece, 2)
        history += piece + made


def test_scores_are_at_hand_when_nothing_is_new(model: CausalLM) -> None:
    context = Context(model)
    context.add([1, 2])
    first = context.scores()
    assert context.scores() is first


def test_bfloat16_generates() -> None:
    model = scrambled(CONFIGS["grouped"]).bfloat16()
    assert len(generated(model, [1, 2], 20, sampling=SAMPLINGS["both"])) == 20


def test_mistakes_are_raised_before_any_work(model: CausalLM) -> None:
    def ask(prompt: list[int], count: int) -> object:
        return generate_ids(model, prompt, sampling=GREEDY, max_new_tokens=count, generator=generator())

    with pytest.raises(ConfigError, match="max_new_tokens is 0; ask for at least 1"):
        ask([1], 0)
    with pytest.raises(ConfigError, match="max_new_tokens is -3"):
        ask([1], -3)
    with pytest.raises(TextError, match="the prompt has no tokens; give some text"):
        ask([], 5)
    with pytest.raises(TextError, match=r"token 31 is not one of the model's 31 \(0 to 30\).*tokenizer"):
        ask([1, 31], 5)
    with pytest.raises(TextError, match="token -1"):
        ask([-1], 5)


def test_a_mistake_leaves_the_context_as_it_was(model: CausalLM) -> None:
    context = Context(model)
    context.add([1, 2])
    with pytest.raises(TextError):
        context.add([3, 99])
    with pytest.raises(ConfigError):
        extend(context, [3], sampling=GREEDY, max_new_tokens=0, generator=generator())
    assert context.tokens == [1, 2]
