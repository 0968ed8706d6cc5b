"""Surgery: what stays as it was, what the new merges give, and the same from tiktoken and Hugging Face."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizer.texts import any_text, few_letters, hard, python_source, stable

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import Tokenizer, reference
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import PATTERNS, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

NEW = ["SELECT", "qz", "qzz", "zq", " \n\t", "中文字"]
SPECIAL = ["<|user|>", "<|use"]


@functools.cache
def trained() -> Tokenizer:
    return Tokenizer.train(python_source(), 700)


@functools.cache
def by_ranks() -> Tokenizer:
    """The same tokens as a table of ranks, which merges whatever it can and looks whole words up."""
    return Tokenizer.from_ranks(trained().ranks(), "gpt2", {"<|endoftext|>": 699})


@functools.cache
def of_letters() -> Tokenizer:
    """A vocabulary of runs, some of whose tokens are made in two ways."""
    texts = ["ab" * 20, "a" * 60, "aab" * 15, "b" * 37, "abba" * 9]
    return Tokenizer.train(texts, 292, ".+", special_tokens=["<|end|>"], min_frequency=1)


def by_reference(vocabulary: Vocabulary, text: str) -> list[int]:
    """The ids of a text without special and added tokens, by the reference and the rule of whole words."""
    order = np.lexsort((vocabulary.right, vocabulary.left, vocabulary.ranks))
    merges = list(zip(vocabulary.left[order].tolist(), vocabulary.right[order].tolist(), strict=True))
    ordinary = vocabulary.ordinary_ids()
    # The reference looks tokens up by their bytes; those that stand apart must not be found there.
    tokens = [token if token in ordinary else b"" for token in vocabulary.tokens]
    places = [ordinary[token] for token in reference.first_tokens()]
    assert places == list(range(256)), "the reference has the bytes first"
    ids: list[int] = []
    for word in reference.split(utf8(text)[0], vocabulary.pattern):
        if vocabulary.whole_words and word in ordinary:
            ids.append(ordinary[word])
        else:
            ids += reference.encode(word.decode(), tokens, merges, r"(?s).+")
    return ids


texts = any_text | few_letters | st.sampled_from(python_source()).map(lambda text: text[3000:4000])
both = st.sampled_from(["merges", "ranks"]).map({"merges": trained, "ranks": by_ranks}.__getitem__)


# Larger


@given(texts | st.text(alphabet="qz Eu<|se>", max_size=40))
def test_a_text_without_the_new_tokens_keeps_its_ids(text: str) -> None:
    larger = trained().extend(NEW, SPECIAL)
    assume(not any(new in text for new in (*NEW, *SPECIAL)))
    before = trained().encode(text, disallowed_special=())
    assert larger.encode(text, disallowed_special=()) == before
    assert larger.encode_batch([text], disallowed_special=()) == [before]


@functools.cache
def extended() -> tuple[Tokenizer, Any]:
    """Ours and Hugging Face's tokenizer with the same tokens added."""
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_str(json.dumps(trained()._engine.to_tokenizer_json()))
    theirs.add_tokens([tokenizers.AddedToken(text, normalized=False) for text in NEW])
    theirs.add_special_tokens(SPECIAL)
    return trained().extend(NEW, SPECIAL), theirs


pieces = st.lists(st.sampled_from([*NEW, *SPECIAL, "<|endoftext|>", "q", "z", " ", "\n", "er|>", "return"]))


@given(pieces.map("".join) | hard.filter(stable))
def test_new_tokens_are_those_of_hugging_face(text: str) -> None:
    ours, theirs = extended()
    text = utf8(text)[0]
    ids = ours.encode(text, allowed_special="all")
    assert ids == theirs.encode(text).ids
    assert ours.decode(ids) == text


def test_new_ids_come_last() -> None:
    larger = trained().extend(NEW, SPECIAL)
    assert larger.added_tokens == {text: place for place, text in enumerate(NEW, 700)}
    assert larger.special_tokens == {"<|endoftext|>": 699, "<|user|>": 706, "<|use": 707}
    assert larger.vocab_size == 708
    assert larger.vocabulary.tokens[:700] == trained().vocabulary.tokens
    assert (larger.merges, larger.settings) == (trained().merges, trained().settings)
    twice = larger.extend(["once more"])
    assert twice.added_tokens == {**larger.added_tokens, "once more": 708}
    assert trained().vocab_size == 700


def test_a_new_token_is_cut_out_of_words_too() -> None:
    ids = trained().extend(["cat"]).encode("concatenate")
    assert ids == [*trained().encode("con"), 700, *trained().encode("enate")]
    with pytest.raises(TextError, match=r"'<\|user\|>'; pass allowed_special"):
        trained().extend(special_tokens=["<|user|>"]).encode("<|user|>")


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (["qz", "qz"], "the token 'qz' is given twice"),
        ([""], "'' cannot be added as a token: it is empty"),
        (["\ud83d"], "cannot be added as a token"),
        (["é"], "a letter of GPT-2's byte alphabet"),
        ([7], "a token to add is text .str., not int: 7"),
        (["class"], "the token 'class' is in the vocabulary already, with the id"),
        (["Ġclass"], "the token 'Ġclass' is in the vocabulary already"),
        (["<|endoftext|>"], "in the vocabulary already, with the id 699"),
        ("qz", r"must be a list of texts; for one give \['qz'\]"),
    ],
)
def test_what_cannot_be_added(new: Any, message: str) -> None:
    for name in ("tokens", "special_tokens"):
        with pytest.raises(ConfigError, match=message):
            trained().extend(**{name: new})
    with pytest.raises(ConfigError, match="'qz' is given twice"):
        trained().extend(["qz"], ["qz"])


# Smaller


@given(st.lists(st.integers(0, 699), max_size=60), texts, both)
def test_a_restricted_vocabulary_is_exact(ids: list[int], text: str, make: Any) -> None:
    tokenizer = make()
    kept = tokenizer.encode(text, disallowed_special=())
    smaller, places = tokenizer.restrict([*ids, *kept])
    found = smaller.encode(text, disallowed_special=())
    assert found == places[kept].tolist() == by_reference(smaller.vocabulary, text)
    assert smaller.decode(found) == utf8(text)[0]


@given(st.lists(st.integers(0, 699), max_size=60), texts, both)
def test_other_texts_are_encoded_by_the_merges_that_are_left(ids: list[int], text: str, make: Any) -> None:
    smaller, _ = make().restrict(ids)
    found = smaller.encode(text, disallowed_special=())
    assert found == by_reference(smaller.vocabulary, text)
    assert smaller.decode(found) == utf8(text)[0]


@given(st.sets(st.integers(0, 291), max_size=20), st.text(alphabet="ab", max_size=80))
def test_it_is_exact_where_a_token_is_made_in_several_ways(ids: set[int], text: str) -> None:
    kept = of_letters().encode(text)
    smaller, places = of_letters().restrict([*ids, *kept])
    assert smaller.encode(text) == places[kept].tolist() == by_reference(smaller.vocabulary, text)


@given(st.lists(st.integers(0, 699), max_size=60), both)
def test_every_kept_token_is_still_made_and_ids_keep_their_order(ids: list[int], make: Any) -> None:
    tokenizer = make()
    smaller, places = tokenizer.restrict(ids)
    kept = np.flatnonzero(places >= 0)
    assert places[kept].tolist() == list(range(smaller.vocab_size))
    assert {*range(256), 699, *ids} <= {*kept.tolist()}
    assert smaller.vocabulary.tokens == [tokenizer.vocabulary.tokens[place] for place in kept]
    assert smaller.special_tokens == {"<|endoftext|>": smaller.vocab_size - 1}
    for token in ids:
        data = tokenizer.token_bytes(token)
        if token < 699 and data.isascii():
            assert smaller.encode(data.decode()) == [places[token]]


def test_a_table_of_ranks_stays_one() -> None:
    smaller, places = by_ranks().restrict(range(256, 699, 3))
    ranks = {token: int(places[rank]) for token, rank in by_ranks().ranks().items() if places[rank] >= 0}
    assert smaller.ranks() == ranks
    again = Tokenizer.from_ranks(ranks, "gpt2").vocabulary
    for name in ("left", "right", "ranks"):
        assert np.array_equal(getattr(again, name), getattr(smaller.vocabulary, name))


def test_the_most_frequent_tokens_of_texts_are_kept() -> None:
    tokenizer = Tokenizer.train(
        ["the then " * 9 + "cat cats " * 5 + "dog " * 3], 275, special_tokens=["<|x|>"]
    )
    spelled = tokenizer.vocabulary.tokens
    smaller, places = tokenizer.restrict(texts=["the the the then cat"])
    assert set(smaller.encode("the the the then cat")) <= set(places[places >= 0].tolist())
    assert places[spelled.index(b" dog")] == -1
    for vocab_size in range(257, smaller.vocab_size + 1):
        few, _ = tokenizer.restrict(texts=iter(["the the the then cat"]), vocab_size=vocab_size)
        assert few.vocab_size <= vocab_size
        assert set(few.vocabulary.tokens) <= set(smaller.vocabulary.tokens)
        assert few.decode(few.encode("the the then cats")) == "the the then cats"
    # " the" needs "th" or "he" and "the": three tokens with it.
    assert tokenizer.restrict(texts=["the the the then cat"], vocab_size=260)[0].encode(" the") == [258]
    assert few.vocab_size == smaller.vocab_size


def test_a_size_is_reached_where_there_are_tokens_enough() -> None:
    for vocab_size in (257, 300, 451, 600):
        smaller, _ = trained().restrict(texts=python_source(), vocab_size=vocab_size)
        assert smaller.vocab_size == vocab_size
    counts = [len(trained().restrict(texts=python_source(), vocab_size=size)[0].encode(python_source()[0]))
              for size in (257, 350, 500)]  # fmt: skip
    assert counts == sorted(counts, reverse=True)


def test_special_and_added_tokens_stay() -> None:
    tokenizer = trained().extend(["qz"], ["<|user|>"])
    smaller, places = tokenizer.restrict([])
    assert smaller.vocab_size == 256 + 3
    assert smaller.special_tokens == {"<|endoftext|>": 256, "<|user|>": 258}
    assert smaller.added_tokens == {"qz": 257}
    assert smaller.encode("qz<|user|>", allowed_special="all") == [257, 258]
    assert places[[699, 700, 701]].tolist() == [256, 257, 258]
    assert smaller.settings == tokenizer.settings


def test_a_post_processor_has_the_new_ids() -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [699], "tokens": ["<|endoftext|>"]}
        },
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    roberta = {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 699], "cls": ["!", 0]}

    def restricted(part: Any) -> Any:
        vocabulary = replace(trained().vocabulary, post_processor=part)
        return Tokenizer(ByteLevel(vocabulary)).restrict([256])[0].vocabulary.post_processor

    token = {"id": "<|endoftext|>", "ids": [257], "tokens": ["<|endoftext|>"]}
    expected = {**template, "special_tokens": {"<|endoftext|>": token}}
    sequence = {"type": "Sequence", "processors": [byte_level, template]}
    assert restricted(sequence) == {"type": "Sequence", "processors": [byte_level, expected]}
    assert restricted(roberta) == {**roberta, "sep": ["<|endoftext|>", 257]}
    assert restricted(None) is None
    with pytest.raises(
        ConfigError, match="post-processor of this vocabulary puts in the id 500: keep it too"
    ):
        restricted({**roberta, "cls": ["x", 500]})


def test_what_cannot_be_kept() -> None:
    with pytest.raises(ConfigError, match="the id 700 cannot be kept: this vocabulary has ids 0 to 699"):
        trained().restrict([5, 700])
    with pytest.raises(ConfigError, match="the id -1 cannot be kept"):
        trained().restrict([-1])
    gap = Tokenizer.from_ranks(trained().ranks(), "gpt2", {"<|endoftext|>": 800})
    with pytest.raises(ConfigError, match="the id 750 cannot be kept: no token has it"):
        gap.restrict([750])
    assert gap.restrict(range(699))[0].vocab_size == 700
    with pytest.raises(
        ConfigError, match=r"vocab_size=256 is too small: the bytes, special .* alone are 257"
    ):
        trained().restrict(texts=["a"], vocab_size=256)
    for arguments in ({}, {"vocab_size": 300}, {"ids": [1], "texts": ["a"]}, {"ids": [1], "vocab_size": 300}):
        with pytest.raises(ConfigError, match="restrict takes either ids=, or texts="):
            trained().restrict(**arguments)
    with pytest.raises(TextError, match="for a single text give"):
        trained().restrict(texts="abc")


# Joined


@functools.cache
def other() -> Tokenizer:
    """A vocabulary of Python's words in other forms, and of two letters."""
    texts = [text.upper() for text in python_source()[:3]] + ["ab ba aab abba " * 20]
    return Tokenizer.train(texts, 500, special_tokens=["<|endoftext|>", "<|user|>"]).extend(["qz"])


@given(texts | few_letters | st.sampled_from(python_source()).map(lambda text: text[:1000].upper()), both)
def test_joined_merges_go_on_where_ours_end(text: str, make: Any) -> None:
    ours = make()
    joined = ours.merge(other())
    plain = [word for word in utf8(text)[0].split("qz") if "<|user|>" not in word]
    for part in plain:
        found, before = (each.encode(part, disallowed_special=()) for each in (joined, ours))
        assert found == by_reference(joined.vocabulary, part)
        assert joined.decode(found) == part
        # No cut between tokens is new.
        cuts = [set(np.cumsum([len(each.token_bytes(token)) for token in ids]).tolist())
                for each, ids in ((joined, found), (ours, before))]  # fmt: skip
        assert cuts[0] <= cuts[1]


def test_our_ids_stay_and_what_is_lacking_comes_after() -> None:
    joined = trained().merge(other())
    fresh = [token for token in other().vocabulary.ordinary_ids() if token not in trained().vocabulary.tokens]
    assert joined.vocabulary.tokens == [*trained().vocabulary.tokens, *fresh, b"qz", b"<|user|>"]
    assert joined.merges[: trained().n_merges] == trained().merges
    assert joined.added_tokens == {"qz": joined.vocab_size - 2}
    assert joined.special_tokens == {"<|endoftext|>": 699, "<|user|>": joined.vocab_size - 1}
    text = python_source()[0].upper()
    assert len(joined.encode(text)) < len(trained().encode(text))
    assert joined.merge(other()).vocabulary.tokens == joined.vocabulary.tokens
    assert trained().merge(trained()).merges == trained().merges


@given(st.text(alphabet="ab", max_size=60), st.text(alphabet="ab", max_size=60))
def test_joining_is_exact_on_runs(learned: str, text: str) -> None:
    second = Tokenizer.train([learned, "ba"], 290, ".+", special_tokens=(), min_frequency=1)
    joined = of_letters().merge(second)
    assert joined.encode(text) == by_reference(joined.vocabulary, text)
    assert joined.decode(joined.encode(text)) == text
    assert len(joined.encode(text)) <= len(of_letters().encode(text))


@given(texts.filter(stable))
def test_joined_ranks_are_those_of_tiktoken(text: str) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    joined, union = joined_ranks()
    theirs = tiktoken.Encoding("x", pat_str=PATTERNS["gpt2"], mergeable_ranks=union, special_tokens={})
    assert joined.encode(text, disallowed_special=()) == theirs.encode_ordinary(utf8(text)[0])


@functools.cache
def joined_ranks() -> tuple[Tokenizer, dict[bytes, int]]:
    """Two tables joined, and the table of ranks that this should be."""
    second = Tokenizer.from_ranks(other().restrict(range(498))[0].vocabulary.ordinary_ids(), "gpt2")
    joined = by_ranks().merge(second)
    union = dict(by_ranks().ranks())
    for token in second.ranks():
        union.setdefault(token, len(union) + 1)  # The id 699 is special.
    assert joined.ranks() == union
    return joined, union


def test_a_token_of_ours_is_also_made_of_new_ones() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    ours = Tokenizer.from_ranks({**ranks, b"abc": 256}, ".+")
    assert ours.encode("xabc") == [*b"xabc"]
    joined = ours.merge(Tokenizer.from_ranks({**ranks, b"ab": 256}, ".+"))
    assert joined.ranks() == {**ranks, b"abc": 256, b"ab": 257}
    assert joined.encode("xabc") == [ord("x"), 256]


def test_new_ids_follow_the_order_of_the_merges() -> None:
    second = Tokenizer.train([" ".join(["ab"] * 3 + ["cd"] * 2)], 258, r"[a-z]+| ", special_tokens=())
    vocabulary = second.vocabulary
    assert second.merges == [(b"a", b"b"), (b"c", b"d")]
    swapped = [*vocabulary.tokens[:256], b"cd", b"ab", b"never"]
    second = Tokenizer(ByteLevel(replace(vocabulary, tokens=swapped)))
    joined = Tokenizer.train(["x"], 256, r"[a-z]+| ", special_tokens=()).merge(second)
    assert joined.vocabulary.tokens[256:] == [b"ab", b"cd", b"never"]
    assert joined.merges == second.merges


def test_tokens_that_are_never_made_are_told(caplog: pytest.LogCaptureFixture) -> None:
    pattern = r"[a-z]+| "
    first = Tokenizer.train(["bc bc"], 257, pattern, special_tokens=())
    second = Tokenizer.train(["ab cd abcd abcd"], 259, pattern, special_tokens=())
    assert second.merges == [(b"a", b"b"), (b"c", b"d"), (b"ab", b"cd")]
    with caplog.at_level(logging.WARNING):
        joined = first.merge(second)
    assert "1 of the 3 new tokens are never made, such as b'abcd'" in caplog.text
    assert joined.decode(joined.encode("abcd")) == "abcd"
    assert [joined.token_bytes(token) for token in joined.encode("abcd ab")] == [
        b"a",
        b"bc",
        b"d",
        b" ",
        b"ab",
    ]
    caplog.clear()
    assert second.merge(first).encode("abcd bc") == [*second.encode("abcd "), 259]
    assert caplog.text == ""


def test_what_cannot_be_joined() -> None:
    with pytest.raises(ConfigError, match=r"the patterns differ, 'gpt2' here and '\.\+' there"):
        trained().merge(of_letters())
    named = Tokenizer.train(["ab ab"], 258, special_tokens=["class"])
    with pytest.raises(
        ConfigError, match="'class' is a special or added token here and an ordinary one there"
    ):
        named.merge(trained())
    with pytest.raises(ConfigError, match="the token 'class' is in the vocabulary already"):
        trained().merge(named)
    with pytest.raises(
        ConfigError, match="'qz' is special in one of the vocabularies and added in the other"
    ):
        trained().extend(special_tokens=["qz"]).merge(other())


# On published vocabularies


@pytest.mark.slow
def test_gpt2_cut_down_to_a_text(real_data: Path) -> None:
    gpt2 = Tokenizer.load(real_data / "tokenizers" / "gpt2")
    text = (real_data / "small_texts" / "the-verdict.txt").read_text(encoding="utf-8")
    smaller, places = gpt2.restrict(texts=[text])
    assert smaller.vocab_size < 5000
    assert smaller.encode(text) == places[gpt2.encode(text)].tolist()
    half, _ = gpt2.restrict(texts=[text], vocab_size=1000)
    assert half.vocab_size == 1000
    assert len(smaller.encode(text)) < len(half.encode(text)) < len(text)


@pytest.mark.slow
def test_gpt2_that_learns_russian(real_data: Path) -> None:
    gpt2 = Tokenizer.load(real_data / "tokenizers" / "gpt2")
    folder = real_data / "flores200" / "devtest"
    russian, english = (
        (folder / f"{name}.devtest").read_text(encoding="utf-8") for name in ("rus_Cyrl", "eng_Latn")
    )
    joined = gpt2.merge(Tokenizer.train([russian], 3000, special_tokens=()))
    assert len(joined.encode(russian)) < len(gpt2.encode(russian)) / 3
    assert joined.encode(english) == gpt2.encode(english)
    assert joined.ranks()[b" the"] == gpt2.ranks()[b" the"]
    tiktoken = pytest.importorskip("tiktoken")
    theirs = tiktoken.Encoding(
        "x", pat_str=PATTERNS["gpt2"], mergeable_ranks=joined.ranks(), special_tokens=joined.special_tokens
    )
    assert joined.encode(russian) == theirs.encode(russian)
