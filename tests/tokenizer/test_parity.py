"""Parity with the peers: random strings, by the functions of benchmarks/parity.py, and hard inputs."""

from __future__ import annotations

import functools
import importlib.util
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizer.texts import PIECES, python_source

from hornbook.base.randomness import stream
from hornbook.tokenizer import PATTERNS, Tokenizer, encode
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import utf8

tiktoken = pytest.importorskip("tiktoken")
pytest.importorskip("tokenizers")

every_pattern = pytest.mark.parametrize("name", PATTERNS)


@functools.cache
def parity() -> ModuleType:
    """The script, which is no part of a package."""
    path = Path(__file__).parents[2] / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity_script", path)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@functools.cache
def contest(name: str) -> Any:
    """Ours and the peer, with a small vocabulary."""
    return parity().contest(name, python_source(), 1500)


@functools.cache
def tokenizer(name: str) -> Tokenizer:
    return Tokenizer.train(python_source(), 1500, name, special_tokens=())


@functools.cache
def by_tiktoken(name: str) -> Any:
    """The same vocabulary in tiktoken, which takes any pattern."""
    ranks = tokenizer(name).ranks()
    return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})


def batch(texts: list[str], name: str) -> list[list[int]]:
    return tokenizer(name).encode_batch(texts, threads=1, disallowed_special=())


# Random strings


@every_pattern
def test_random_strings(name: str) -> None:
    kinds = parity().kinds_of(python_source())
    compared = contest(name)
    compared.compare(parity().strings(stream(0, "parity test"), 2000, kinds))
    assert not compared.wrong, compared.report()
    assert compared.n_texts > 1950


@every_pattern
def test_pieces_that_rules_are_about_in_every_order(name: str) -> None:
    draw = random.Random(0)
    compared = contest(name)
    compared.compare([first + second for first in PIECES for second in PIECES])
    assert not compared.wrong, compared.report()
    compared.compare(["".join(draw.choices(PIECES, k=draw.randint(3, 9))) for _ in range(2000)])
    assert not compared.wrong, compared.report()


@pytest.mark.slow
@every_pattern
def test_random_strings_by_published_vocabularies(name: str, real_data: Path) -> None:
    texts = parity().real_texts(real_data)
    compared = parity().contest(name, texts, 8192, real_data)
    compared.compare(parity().strings(stream(1, "parity test"), 5000, parity().kinds_of(texts)))
    assert not compared.wrong, compared.report()


def test_a_difference_is_found_and_made_short() -> None:
    """Digits by threes, and one by one: what differs first is two digits."""
    compared = parity().Contest(
        "qwen2", Tokenizer.from_ranks(ranks_with("12"), "qwen2"), "tiktoken",
        tiktoken.Encoding(
            "x", pat_str=PATTERNS["llama3"], mergeable_ranks=ranks_with("12"), special_tokens={}
        ).encode_ordinary_batch,
    )  # fmt: skip
    compared.compare(["no digits", "1 2", "", "many words before 3124, and after"])
    assert compared.wrong == ["many words before 3124, and after"]
    assert compared.shortest() == "12"
    assert compared.report().splitlines()[1:] == ["  '12'", "  ours: [49, 50]", "  tiktoken: [256]"]


def test_what_depends_on_other_texts_is_said() -> None:
    ours = contest("gpt2").ours
    right = parity().Contest("gpt2", ours, "itself", ours.encode_batch)
    fickle = parity().Contest(
        "gpt2", ours, "peer", lambda texts: ours.encode_batch(texts if len(texts) == 1 else texts[::-1])
    )
    right.compare(["a", "b"])
    assert right.report().endswith("2 strings,           2 characters: equal")
    fickle.compare(["a", "b"])
    assert fickle.wrong == ["a", "b"]
    assert "alike when it is encoded alone" in fickle.report()


def test_every_kind_of_string_is_drawn_and_drawn_again() -> None:
    kinds = parity().kinds_of(python_source())
    for kind, (_, draw) in kinds.items():
        texts = list(parity().cut(*draw(stream(0, kind), 300)))
        assert len(texts) == 300
        assert len(set(texts)) > 200
        assert list(parity().cut(*draw(stream(0, kind), 0))) == []
    all_kinds = parity().strings(stream(0, "x"), 1000, kinds)
    assert len(all_kinds) == 1000
    assert all_kinds == parity().strings(stream(0, "x"), 1000, kinds)
    assert all_kinds != parity().strings(stream(1, "x"), 1000, kinds)


# Long texts of little content


def noise(size: int) -> str:
    return random.Random(0).randbytes(size).decode("utf-8", errors="replace")


def chinese(size: int) -> str:
    return "".join(random.Random(0).choices([chr(point) for point in range(0x4E00, 0x9FA6)], k=size // 3))


LONG = {
    "a letter": lambda size: "a" * size,
    "spaces": lambda size: " " * size,
    "spaces and a letter": lambda size: " " * size + "a",
    "newlines": lambda size: "\n" * size,
    "carriage returns and newlines": lambda size: "\r\n" * (size // 2),
    "marks": lambda size: "\u0301" * (size // 2),
    "a letter and marks": lambda size: "a" + "\u0301" * (size // 2),
    "random bytes": noise,
    "words of a letter": lambda size: "a " * (size // 2),
    "lines of a letter": lambda size: "a\n" * (size // 2),
    "digits": lambda size: "1234567890" * (size // 10),
    "other digits": lambda size: "\u0663" * (size // 2),
    "apostrophes": lambda size: "'" * size,
    "contractions": lambda size: "'s" * (size // 2),
    "contractions with a long s": lambda size: "'\u017f" * (size // 3),
    "Chinese": chinese,
    "capitals": lambda size: "A" * size,
    "turning cases": lambda size: "aA" * (size // 2),
    "NULs": lambda size: "\x00" * size,
    "emoji that are joined": lambda size: "\U0001f469\u200d" * (size // 7),
}


@every_pattern
@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("size", [5000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_long_texts_of_little_content(kind: str, name: str, size: int) -> None:
    text = LONG[kind](size)
    ids = tokenizer(name).encode(text)
    assert tokenizer(name).decode(ids) == text
    if size > 5000 and ("spaces" in kind or "newlines" in kind):
        assert ids == by_regex_and_tiktoken(name, text)
    else:
        assert ids == by_tiktoken(name).encode_ordinary(text)


def by_regex_and_tiktoken(name: str, text: str) -> list[int]:
    """The ids by tiktoken, its regular expressions aside: a megabyte of white space is too much for them."""
    words = regex.findall(PATTERNS[name], text)
    return [token for word in words for token in by_tiktoken(name)._encode_single_piece(word)]


# Texts and words of awkward lengths


@every_pattern
def test_empty_texts(name: str) -> None:
    assert tokenizer(name).encode_batch([""] * 10_000, threads=2) == [[]] * 10_000
    texts = ["", "a", "", "", "b c", *[""] * 100, "\x00", ""]
    assert batch(texts, name) == [by_tiktoken(name).encode_ordinary(text) for text in texts]


def awkward_words(letters: str) -> list[str]:
    """Words of lengths at which they are kept or merged in another way, in pairs that differ at the end."""
    words = []
    for size in (1, 7, 8, 9, 14, 15, 16, 17, 23, 24, 25, 31, 32, 33, 126, 127, 128, 129, 130, 300):
        word = (letters * size)[:size]
        words += [word, word[:-1] + letters[-1], word[:-1] + letters[0]]
        words += [word + letters[-1] * more for more in range(1, 10)]
    return words


@every_pattern
@pytest.mark.parametrize("letters", ["abcdefghijk", "a", "!\x00", "\x00", ".\x00\x00,"])
@pytest.mark.parametrize("between", ["", " ", "\n", "\x00"])
def test_words_of_awkward_lengths(letters: str, between: str, name: str) -> None:
    words = awkward_words(letters)
    random.Random(0).shuffle(words)
    texts = [*words, between.join(words), between.join(reversed(words))]
    expected = [by_tiktoken(name).encode_ordinary(text) for text in texts]
    assert batch(texts, name) == expected
    # Each by itself, by an engine that remembers no other word.
    for text, ids in zip(words, expected, strict=False):
        tokenizer(name)._engine.forget()  # type: ignore[attr-defined]
        assert tokenizer(name).encode(text) == ids


@every_pattern
@pytest.mark.parametrize("piece", ["word ", "é", "中", "\U0001f600", " \n", "'ll", "1", "\x00"])
def test_texts_that_end_at_every_byte(piece: str, name: str) -> None:
    raw = piece.encode() * 100
    texts = [raw[:size].decode(errors="ignore") for size in range(130)]
    texts += [raw[: 8 * size].decode(errors="ignore") for size in range(20)]
    expected = [by_tiktoken(name).encode_ordinary(text) for text in texts]
    assert batch(texts, name) == expected
    assert [tokenizer(name).encode(text) for text in texts] == expected
    assert [batch([text] * 3, name)[2] for text in texts] == expected


# Threads and memory


@functools.cache
def many_texts() -> list[str]:
    lines = python_source()[0].splitlines(keepends=True)[:1000]
    drawn = parity().strings(stream(0, "threads"), 500, parity().kinds_of(python_source()))
    return [*lines, *drawn, *python_source()[:3]]


@every_pattern
def test_many_threads_share_one_tokenizer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = many_texts()
    expected = batch(texts, name)
    shared = Tokenizer(ByteLevel(tokenizer(name).vocabulary))

    def agrees(seed: int) -> bool:
        places = random.Random(seed).sample(range(len(texts)), 500)
        one_by_one = [shared.encode(texts[place], disallowed_special=()) for place in places]
        together = shared.encode_batch([texts[place] for place in places], 2, disallowed_special=())
        return one_by_one == together == [expected[place] for place in places]

    for most in (encode.MEMORY_WORDS, 50):
        monkeypatch.setattr(encode, "MEMORY_WORDS", most)
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(agrees, range(8)))


@every_pattern
@pytest.mark.parametrize("most", [0, 7, 1000])
def test_forgetting_changes_nothing(most: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = many_texts()
    expected = batch(texts, name)
    monkeypatch.setattr(encode, "MEMORY_WORDS", most)
    monkeypatch.setattr(encode, "ROOM", most)
    forgetful = Tokenizer(ByteLevel(tokenizer(name).vocabulary))
    assert forgetful.encode_batch(texts, threads=1, disallowed_special=()) == expected
    assert [forgetful.encode(text, disallowed_special=()) for text in texts[::3]] == expected[::3]


# Tables of ranks in which a token can be made in several ways


def ranks_with(*tokens: str) -> dict[bytes, int]:
    """The table of all bytes and these tokens."""
    every = [*(bytes([byte]) for byte in range(256)), *(token.encode() for token in tokens)]
    return {token: rank for rank, token in enumerate(dict.fromkeys(every))}


def assert_tiktoken_agrees(tokens: list[str], texts: list[str]) -> None:
    ranks = ranks_with(*tokens)
    ours = Tokenizer.from_ranks(ranks, ".+")
    theirs = tiktoken.Encoding("x", pat_str=".+", mergeable_ranks=ranks, special_tokens={})
    for text in texts:
        assert ours.encode(text) == theirs.encode_ordinary(text), (tokens, text)


@st.composite
def tables(draw: st.DrawFn, letters: str) -> list[str]:
    """Tokens in the order of their ranks, most of them joined from two of the tokens before."""
    tokens = list(letters)
    for _ in range(draw(st.integers(1, 14))):
        joined = st.tuples(st.sampled_from(tokens), st.sampled_from(tokens)).map("".join)
        tokens.append(draw(joined | joined | st.text(alphabet=letters, min_size=2, max_size=6)))
    return tokens[len(letters) :]


@settings(max_examples=200)
@given(tables("ab"), st.lists(st.text(alphabet="ab", max_size=40), min_size=1, max_size=10))
@example(["aa", "aaa"], ["a" * size for size in range(20)])
@example(["aa", "aaa", "aaaa", "aaaaa"], ["a" * size for size in range(40)])
def test_two_letters_by_any_table_of_ranks(tokens: list[str], texts: list[str]) -> None:
    assert_tiktoken_agrees(tokens, texts)


@settings(max_examples=200)
@given(tables("abcd"), st.lists(st.text(alphabet="abcd", max_size=40), min_size=1, max_size=10))
# A token may have a part of larger rank than its own.
@example(["abc", "ab", "bc"], ["abcd", "abc"])
# And though it could be made of two of smaller rank, merges may come to it through one of larger rank.
@example(["bc", "ab", "cd", "abcd", "abc"], ["abcda"])
def test_four_letters_by_any_table_of_ranks(tokens: list[str], texts: list[str]) -> None:
    assert_tiktoken_agrees(tokens, texts)


@settings(max_examples=100)
@given(st.randoms(use_true_random=False), st.integers(2, 60))
def test_shuffled_ranks(draw: random.Random, n_tokens: int) -> None:
    """All the pieces of some texts, in no order: few tokens are made of two earlier ones."""
    text = "".join(draw.choices("ab", k=30))
    pieces = {text[at : at + size] for at in range(30) for size in range(2, 7)}
    tokens = draw.sample(sorted(pieces), min(n_tokens, len(pieces)))
    assert_tiktoken_agrees(tokens, [text, *("".join(draw.choices("ab", k=50)) for _ in range(10))])


@pytest.mark.parametrize("order", ["shortest first", "longest first", "mixed"])
def test_runs_as_tokens_up_to_beyond_the_short_ones(order: str) -> None:
    sizes = [*range(2, 20), *range(120, 136), 31, 32, 33, 64, 256, 300]
    sizes.sort(reverse=order == "longest first")
    if order == "mixed":
        random.Random(0).shuffle(sizes)
    assert_tiktoken_agrees(["a" * size for size in sizes], ["b" + "a" * size for size in range(700)])


def test_surrogates_are_those_of_tiktoken() -> None:
    for text in ("\ud83d", "a\ud83d\ude00", "\ude00\ud83d", "'\ud83ds", " \udc4d", "\ud83d" * 50):
        assert batch([text], "cl100k") == [by_tiktoken("cl100k").encode_ordinary(text)]
        assert tokenizer("cl100k").decode(batch([text], "cl100k")[0]) == utf8(text)[0]
