"""Text from a model: whole characters, an end where the document ends, one text for each seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError, TextError
from hornbook.generate.decode import generate_ids
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.text import decoded, generate_text, sampling_generator, stream_text
from hornbook.model.models import CausalLM
from hornbook.tokenizer import Tokenizer

GREEDY = SamplingConfig(temperature=0.0)
WARM = SamplingConfig(temperature=1.5)
SAYING = "the ш语🙂é"


def test_a_text_ends_where_its_document_ends(parrot: Callable[[str], CausalLM], tokenizer: Tokenizer) -> None:
    """The end-of-text token is what the prompt starts with, what ends the text, and never part of it."""
    assert generate_text(parrot(SAYING), tokenizer, "", sampling=GREEDY) == SAYING


def test_the_prompt_is_not_repeated(parrot: Callable[[str], CausalLM], tokenizer: Tokenizer) -> None:
    assert generate_text(parrot(SAYING), tokenizer, "the", sampling=GREEDY) == SAYING.removeprefix("the")


def test_pieces_are_whole_characters(parrot: Callable[[str], CausalLM], tokenizer: Tokenizer) -> None:
    pieces = list(stream_text(parrot(SAYING), tokenizer, "", sampling=GREEDY))
    assert pieces[-4:] == ["ш", "语", "🙂", "é"]
    assert "".join(pieces) == SAYING


def test_a_character_cut_off_by_the_limit_is_marked(
    parrot: Callable[[str], CausalLM], tokenizer: Tokenizer
) -> None:
    length = len(tokenizer.encode("the ш语"))
    pieces = list(stream_text(parrot(SAYING), tokenizer, "", sampling=GREEDY, max_new_tokens=length + 2))
    assert "".join(pieces) == "the ш语�"
    assert pieces[-1] == "�"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_decoding_piece_by_piece_is_decoding(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, disallowed_special=())
    pieces = list(decoded(tokenizer, iter(ids)))
    assert "".join(pieces) == tokenizer.decode(ids)
    assert "" not in pieces
    if "�" not in tokenizer.decode(ids):
        assert not any("�" in piece for piece in pieces)


def test_text_is_the_decoded_ids(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    """Random bytes, which are seldom whole characters, and more of them than the context holds."""
    assert tokenizer.end_of_text is not None
    ids = generate_ids(
        babbler,
        [tokenizer.end_of_text, *tokenizer.encode("def main")],
        sampling=WARM,
        max_new_tokens=60,
        stop=frozenset({tokenizer.end_of_text}),
        generator=sampling_generator(3),
    )
    text = generate_text(babbler, tokenizer, "def main", sampling=WARM, max_new_tokens=60, seed=3)
    assert text == tokenizer.decode(ids)
    assert len(text) > 24


def test_seeds_decide(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    def say(seed: int) -> str:
        return generate_text(babbler, tokenizer, "def", sampling=WARM, max_new_tokens=20, seed=seed)

    assert say(1) == say(1)
    assert len({say(seed) for seed in range(5)}) == 5


def test_names_of_special_tokens_in_a_prompt_are_plain_text(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    """A prompt cannot forge the end of a document; nor is it refused."""
    prompt = "a <|endoftext|> b"
    text = generate_text(babbler, tokenizer, prompt, sampling=GREEDY, max_new_tokens=5)
    assert tokenizer.end_of_text is not None
    ids = [tokenizer.end_of_text, *tokenizer.encode(prompt, disallowed_special=())]
    assert ids.count(tokenizer.end_of_text) == 1
    made = generate_ids(babbler, ids, sampling=GREEDY, max_new_tokens=5, generator=sampling_generator(0))
    assert text == tokenizer.decode(made)


def test_a_tokenizer_without_an_end_needs_a_prompt(babbler: CausalLM) -> None:
    endless = Tokenizer.train(["a b c d e " * 9], vocab_size=258, special_tokens=())
    assert endless.end_of_text is None
    assert generate_text(babbler, endless, "a", sampling=SamplingConfig(top_k=1), max_new_tokens=1) != ""
    with pytest.raises(TextError, match="the prompt has no tokens; give some text"):
        stream_text(babbler, endless, "")


def test_mistakes_are_raised_before_the_first_piece(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="max_new_tokens is 0"):
        stream_text(babbler, tokenizer, "def", max_new_tokens=0)


def test_a_foreign_tokenizer_is_noticed(tokenizer: Tokenizer, parrot: Callable[[str], CausalLM]) -> None:
    larger = Tokenizer.train(["the cat sat on the mat, the other cat did not"] * 9, vocab_size=290)
    with pytest.raises(TextError, match="encode the text with the tokenizer the model was trained with"):
        stream_text(parrot("main"), larger, "the cat")
