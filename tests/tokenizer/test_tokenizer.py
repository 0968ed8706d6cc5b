"""The class: round trips, special tokens, ids that do not exist, streaming, and what an import loads."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source

import hornbook.tokenizer
from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import StreamDecoder, Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import utf8


@functools.cache
def trained() -> Tokenizer:
    return Tokenizer.train(python_source(), 700, special_tokens=("<|endoftext|>", "<|end|>", "<|end|>>"))


@given(any_text)
def test_text_comes_back(text: str) -> None:
    tokenizer = trained()
    ids = tokenizer.encode(text, disallowed_special=())
    mended, raw = utf8(text)
    assert tokenizer.decode(ids) == mended
    assert tokenizer.decode_bytes(ids) == raw
    assert tokenizer.decode(tokenizer.encode(text, allowed_special="all")) == mended
    assert int(tokenizer.byte_lengths[ids].sum()) == len(raw)


def test_an_array_is_the_same_ids() -> None:
    ids = trained().encode_array("def main():")
    assert ids.dtype == np.int32
    assert ids.tolist() == trained().encode("def main():")
    assert trained().decode(ids) == "def main():"


# Special tokens


def test_special_tokens_in_text_are_refused_unless_allowed() -> None:
    with pytest.raises(TextError, match=r"'<\|endoftext\|>'; pass allowed_special=\{'<\|endoftext\|>'\}"):
        trained().encode("a<|endoftext|>b")
    ids = trained().encode("a<|endoftext|>b", allowed_special={"<|endoftext|>"})
    assert ids == [*trained().encode("a"), 697, *trained().encode("b")]
    plain = trained().encode("a<|endoftext|>b", disallowed_special=())
    assert 697 not in plain
    assert trained().decode(plain) == trained().decode(ids) == "a<|endoftext|>b"


def test_allowing_one_leaves_the_others_refused() -> None:
    with pytest.raises(TextError, match=r"<\|end\|>"):
        trained().encode("<|endoftext|><|end|>", allowed_special={"<|endoftext|>"})
    both = trained().encode("<|endoftext|><|end|>", {"<|endoftext|>"}, {"<|endoftext|>"})
    assert both[0] == 697
    assert 698 not in both


def test_the_longest_special_token_wins() -> None:
    assert trained().encode("<|end|>><|end|>", allowed_special="all") == [699, 698]


def test_an_unknown_special_token_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'<\|endoftxt\|>', did you mean '<\|endoftext\|>'"):
        trained().encode("a", allowed_special={"<|endoftxt|>"})
    with pytest.raises(ConfigError, match="not as 'every'"):
        trained().encode("a", disallowed_special="every")  # type: ignore[arg-type]


def test_batches_take_the_same_keywords() -> None:
    texts = ["a<|end|>", "b"]
    assert trained().encode_batch(texts, allowed_special="all")[0][-1] == 698
    assert trained().encode_array("<|end|>", disallowed_special=()).size > 1
    with pytest.raises(TextError):
        trained().encode_batch(texts, threads=2)
    with pytest.raises(ConfigError, match="threads=0 must be 1 or more"):
        trained().encode_batch(texts, threads=0)
    with pytest.raises(TextError, match="not one str"):
        trained().encode_batch("text")


# Ids


@pytest.mark.parametrize("token", [-1, 700, 10**9])
def test_ids_out_of_range(token: int) -> None:
    with pytest.raises(TextError, match=f"the id {token} is out of range: this vocabulary has ids 0 to 699"):
        trained().decode([0, token])


def test_what_a_tokenizer_tells_of_itself() -> None:
    tokenizer = trained()
    assert tokenizer.vocab_size == 700
    assert tokenizer.n_merges == len(tokenizer.merges) == 700 - 259
    assert tokenizer.end_of_text == 697
    assert tokenizer.token_bytes(697) == b"<|endoftext|>"
    assert tokenizer.byte_lengths[[0, 697, 699]].tolist() == [1, 0, 0]
    assert tokenizer.byte_lengths.dtype == np.int32
    assert repr(tokenizer).startswith("Tokenizer(vocab_size=700, pattern='gpt2', special_tokens=['<|end")
    bare = Tokenizer.train(["abc"], 256, special_tokens=())
    assert bare.end_of_text is None
    assert bare.byte_lengths.sum() == 256


# Streaming


@given(st.lists(st.integers(0, 699), max_size=50))
def test_a_stream_is_the_text_piece_by_piece(ids: list[int]) -> None:
    decoder = StreamDecoder(trained())
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) + decoder.finish() == trained().decode(ids)


def test_a_stream_holds_half_characters_back() -> None:
    decoder = StreamDecoder(trained())
    ids = [trained().vocabulary.tokens.index(bytes([byte])) for byte in "😀".encode()]
    assert [decoder.push(token) for token in ids] == ["", "", "", "😀"]
    assert decoder.push(ids[0]) == ""
    assert decoder.finish() == "\ufffd"
    assert decoder.finish() == ""


# The compiled code


def run(code: str, folder: Path | None = None, **environment: str) -> str:
    variables = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_no_numba() -> None:
    code = "import sys, hornbook.tokenizer; print([x for x in ('numba', 'torch') if x in sys.modules])"
    assert run(code).strip() == "[]"


@pytest.mark.slow
def test_it_works_where_no_cache_can_be_written(tmp_path: Path) -> None:
    package = Path(hornbook.tokenizer.__file__).parent
    copy = tmp_path / "hornbook"
    for room in ("base", "tokenizer"):
        shutil.copytree(package.parent / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__init__.py").touch()
    (copy / "tokenizer" / "__pycache__").write_text("a file where the cache folder should be")
    code = (
        "from hornbook.tokenizer import Tokenizer, words\n"
        "assert type(words._enter._cache).__name__ == 'NullCache'\n"
        "print(Tokenizer.train(['ab ab'], 257, special_tokens=()).encode('ab'))"
    )
    nowhere = str(copy / "tokenizer" / "__pycache__")
    environment = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PYTHONPATH": str(tmp_path)}
    assert run(code, tmp_path, **environment).strip() == "[256]"


# Odd input


def test_characters_in_halves_are_whole_before_anything_is_looked_for() -> None:
    tokenizer = trained().extend(["😀"], special_tokens=["<🙂>"])
    assert tokenizer.encode("a\ud83d\ude00") == tokenizer.encode("a😀")
    assert tokenizer.encode_batch(["a\ud83d\ude00"]) == [tokenizer.encode("a😀")]
    with pytest.raises(TextError, match="special token"):
        tokenizer.encode("<\ud83d\ude42>")
    nfc = Tokenizer(ByteLevel(replace(trained().vocabulary, normalizer="NFC")))
    assert nfc.encode("\ud834\udd5e") == nfc.encode("\U0001d15e")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"special_tokens": {"<a>", "<b>"}}, "must be a list of texts, in the order of their ids"),
        ({"vocab_size": 300.5}, "vocab_size=300.5 must be a whole number"),
        ({"threads": "2"}, "threads='2' must be 1 or more"),
        ({"pattern": r"(?r)\w+|\s+"}, "goes through text backwards"),
        ({"pattern": ""}, "a regular expression is taken too"),
    ],
)
def test_impossible_settings_of_training_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Tokenizer.train(["ab ab"], **{"vocab_size": 300, **wrong})


def test_a_path_is_not_a_text() -> None:
    with pytest.raises(TextError, match="train_tokenizer"):
        Tokenizer.train(Path("texts"), 300)  # type: ignore[arg-type]
