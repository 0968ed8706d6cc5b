"""An encoder-decoder answers: a text is read once, another is written, and both have their ends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model.small_encoders import scrambled
from model.small_models import some_tokens
from model.small_shapes import seq2seq_config

from hornbook.base.errors import ConfigError, TextError
from hornbook.generate import reference
from hornbook.generate.decode import answer_ids
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.text import generate_text, sampling_generator, stream_text
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.files.settings import Settings

GREEDY = SamplingConfig(temperature=0.0)
WARM = SamplingConfig(temperature=1.5)
NUCLEUS = SamplingConfig(temperature=1.0, top_k=12, top_p=0.7)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(start_token: int = 3, **fields: Any) -> Seq2SeqLM:
    return scrambled(Seq2SeqLM(seq2seq_config(start_token, **fields)))


@pytest.fixture
def model() -> Seq2SeqLM:
    return small()


def answered(model: Seq2SeqLM, source: list[int], count: int, **changes: Any) -> list[int]:
    defaults: dict[str, Any] = {"sampling": GREEDY, "generator": generator()}
    return list(answer_ids(model, source, max_new_tokens=count, **defaults | changes))


@pytest.mark.parametrize("sampling", [GREEDY, WARM, NUCLEUS])
@pytest.mark.parametrize(("length", "count"), [(1, 5), (7, 11), (12, 12), (4, 30)])
def test_ids_are_those_of_the_reference(
    model: Seq2SeqLM, sampling: SamplingConfig, length: int, count: int
) -> None:
    """The last case asks for more than the decoder takes at once, and gets that much."""
    source = some_tokens(1, length)[0].tolist()
    wanted = reference.answer(model, source, sampling, count, frozenset(), generator(5))
    assert answered(model, source, count, sampling=sampling, generator=generator(5)) == wanted
    assert len(wanted) == min(count, 12)


def test_the_source_decides(model: Seq2SeqLM) -> None:
    """With the same draws a few sources may get the same answer, and not most of them."""
    sources = [[first, second] for first in (1, 2, 3) for second in (4, 5, 6)]
    answers = [answered(model, source, 12, sampling=WARM) for source in sources]
    assert answers == [answered(model, source, 12, sampling=WARM) for source in sources]
    assert len({tuple(answer) for answer in answers}) > 4


def test_each_token_is_read_once(model: Seq2SeqLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the source too."""
    lengths: dict[str, list[int]] = {"encoder": [], "decoder": []}
    for name, seen in lengths.items():
        stack = getattr(model, name)

        def counted(
            tokens: torch.Tensor,
            *rest: Any,
            features: Any = stack.features,
            seen: Any = seen,
            **keywords: Any,
        ) -> torch.Tensor:
            seen.append(tokens.size(1))
            return features(tokens, *rest, **keywords)

        monkeypatch.setattr(stack, "features", counted)
    answered(model, [1, 2, 3, 4], 3)
    assert lengths == {"encoder": [4], "decoder": [1, 1, 1]}


def test_a_stop_token_ends_the_answer_and_is_not_given_out(model: Seq2SeqLM) -> None:
    free = answered(model, [1], 12, sampling=WARM)
    stop = frozenset({free[7]})
    stopped = answered(model, [1], 12, sampling=WARM, stop=stop)
    assert stopped == free[: free.index(free[7])]
    assert reference.answer(model, [1], WARM, 12, stop, generator()) == stopped


def test_the_model_is_as_before_between_tokens() -> None:
    model = small()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    wanted = answered(model, [1, 2], 8)
    model.train()
    tokens = answer_ids(model, [1, 2], sampling=GREEDY, max_new_tokens=8, generator=generator())
    made = []
    for token in tokens:
        made.append(token)
        assert all(module.training for module in model.modules())
    assert made == wanted
    model(some_tokens(1, 4), some_tokens(1, 3)).sum().backward()


def test_mistakes_are_raised_before_the_first_token(model: Seq2SeqLM) -> None:
    def ask(source: list[int], count: int = 5) -> object:
        return answer_ids(model, source, sampling=GREEDY, max_new_tokens=count, generator=generator())

    with pytest.raises(ConfigError, match="max_new_tokens is 0; ask for at least 1"):
        ask([1], 0)
    with pytest.raises(TextError, match="the source has no tokens"):
        ask([])
    with pytest.raises(TextError, match=r"token 31 is not one of the model's 31 \(0 to 30\)"):
        ask([1, 31])
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12; cut the input"):
        ask([1] * 13)


# Texts


def with_roles(tokenizer: Tokenizer, **roles: str) -> Tokenizer:
    """The tokenizer with two more tokens, and roles for them."""
    extended = tokenizer.extend(special_tokens=["<s>", "</s>"])
    return Tokenizer(extended._engine, Settings(**roles))


@pytest.fixture
def plain() -> Tokenizer:
    """A tokenizer that has no end-of-text token of ours."""
    return Tokenizer.train(["def main():\n    print('the main thing')\n"] * 5, 270, special_tokens=())


def test_the_source_and_the_answer_have_their_ends(plain: Tokenizer) -> None:
    """With a token that begins texts the source has it, and in an answer it is not shown."""
    tokenizer = with_roles(plain, bos_token="<s>", eos_token="</s>")
    begin, end = (tokenizer.special_tokens[text] for text in ("<s>", "</s>"))
    model = small(end, vocab_size=tokenizer.vocab_size, max_seq_len=40)
    source = [begin, *tokenizer.encode("the main <s>", disallowed_special=()), end]
    assert source.count(begin) == 1
    made = reference.answer(model, source, WARM, 30, frozenset({end}), sampling_generator(2))
    text = generate_text(model, tokenizer, "the main <s>", sampling=WARM, max_new_tokens=30, seed=2)
    assert text == tokenizer.decode([token for token in made if token != begin])
    assert len(made) > 5
    with torch.no_grad():
        # Now the one that begins texts comes first, whatever is read.
        model.decoder.head.bias = torch.nn.Parameter(torch.zeros(tokenizer.vocab_size))
        model.decoder.head.bias[begin] = 1000.0
    assert generate_text(model, tokenizer, "the", sampling=GREEDY, max_new_tokens=3) == ""


def test_without_a_token_for_beginnings_the_source_has_its_end_alone(plain: Tokenizer) -> None:
    tokenizer = with_roles(plain, eos_token="</s>")
    end = tokenizer.special_tokens["</s>"]
    model = small(0, vocab_size=tokenizer.vocab_size, max_seq_len=40)
    wanted = reference.answer(
        model, [*tokenizer.encode("main"), end], GREEDY, 9, frozenset({end}), generator()
    )
    pieces = stream_text(model, tokenizer, "main", sampling=GREEDY, max_new_tokens=9)
    assert "".join(pieces) == tokenizer.decode(wanted)


def test_an_answer_needs_an_end(plain: Tokenizer) -> None:
    model = small(0, vocab_size=plain.vocab_size)
    with pytest.raises(ConfigError, match=r"names no token that ends a text.*eos_token"):
        stream_text(model, plain, "main")
