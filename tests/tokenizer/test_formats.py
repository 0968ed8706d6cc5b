"""Files: what is written is what Hugging Face's library reads, and what cannot be honoured is refused."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tokenizer.texts import any_text, python_source, stable

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.pretokenize import PATTERNS, utf8


@functools.cache
def trained(pattern: str = "gpt2") -> Tokenizer:
    special = ("<|endoftext|>", "<|user|>")
    return Tokenizer.train(python_source(), 800, pattern=pattern, special_tokens=special)


@pytest.mark.parametrize("pattern", [*PATTERNS, r"\p{L}+| "])
def test_saved_and_loaded_is_the_same(pattern: str, tmp_path: Path) -> None:
    tokenizer = trained(pattern)
    tokenizer.save(tmp_path / "new" / "folder")
    for path in (tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "tokenizer.json"):
        again = Tokenizer.load(path)
        assert again.vocabulary.tokens == tokenizer.vocabulary.tokens
        assert again.merges == tokenizer.merges
        assert (again.special_tokens, again.pattern) == (tokenizer.special_tokens, pattern)
        assert again.encode(python_source()[0]) == tokenizer.encode(python_source()[0])


@pytest.mark.parametrize("pattern", list(PATTERNS))
def test_hugging_face_reads_the_same_ids(pattern: str, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    ours = trained(pattern)
    ours.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    @settings(max_examples=200)
    @given(any_text.map(lambda text: utf8(text)[0]).filter(stable))
    def same(text: str) -> None:
        assert theirs.encode(text).ids == ours.encode(text, allowed_special="all")

    same()
    for text in [*python_source(), "a<|user|> b<|endoftext|>"]:
        ids = ours.encode(text, allowed_special="all")
        assert theirs.encode(text).ids == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text


def test_a_tokenizer_trained_by_hugging_face_is_read(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(python_source(), trainer)
    theirs.save(str(tmp_path / "any.json"))
    ours = Tokenizer.load(tmp_path / "any.json")
    assert ours.special_tokens == {"<|endoftext|>": 0}
    for text in python_source():
        assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.slow
def test_transformers_reads_the_folder(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    trained().save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = python_source()[0] + "<|user|>"
    assert theirs(text)["input_ids"] == trained().encode(text, allowed_special="all")
    assert theirs.eos_token_id == trained().end_of_text


# What is refused

Change = Callable[[dict[str, Any]], object]
REFUSED: list[tuple[str, Change]] = [
    ("model type 'WordPiece'", lambda file: file["model"].update(type="WordPiece")),
    ("model dropout 0.1", lambda file: file["model"].update(dropout=0.1)),
    ("model end_of_word_suffix '</w>'", lambda file: file["model"].update(end_of_word_suffix="</w>")),
    ("the part 'cleverness'", lambda file: file["model"].update(cleverness=1)),
    ("normalizer 'NFC'", lambda file: file.update(normalizer={"type": "NFC"})),
    ("truncation", lambda file: file.update(truncation={"max_length": 5})),
    ("decoder 'Metaspace'", lambda file: file.update(decoder={"type": "Metaspace"})),
    ("post_processor 'BertProcessing'", lambda file: file.update(post_processor={"type": "BertProcessing"})),
    ("pre-tokenizer .'Whitespace'", lambda file: file.update(pre_tokenizer={"type": "Whitespace"})),
    ("pre-tokenizer .None", lambda file: file.update(pre_tokenizer=None)),
    ("add_prefix_space True", lambda file: file["pre_tokenizer"].update(add_prefix_space=True)),
    ("lstrip of the added token '<|user|>'", lambda file: file["added_tokens"][1].update(lstrip=True)),
    ("'<|user|>' is not special", lambda file: file["added_tokens"][1].update(special=False)),
    ("is not an added token", lambda file: file.update(added_tokens=[3])),
    ("its vocabulary or its merges are missing", lambda file: file["model"].pop("merges")),
    ("the merge .'h'. is not a pair", lambda file: file["model"].update(merges=[["h"]])),
    ("needs 'qqq', which is no token", lambda file: file["model"].update(merges=["qqq r"])),
    ("lacks 1 of the 256 bytes, the first is 0x21", lambda file: file["model"]["vocab"].pop("!")),
    ("the id -1 of the token '!'", lambda file: file["model"]["vocab"].update({"!": -1})),
    ("the token '中' is not special", lambda file: file["model"]["vocab"].update({"中": 900})),
    ("two tokens have one id", lambda file: file["model"]["vocab"].update({"zzzzz": 5})),
    ("'<|user|>' has two", lambda file: file["model"]["vocab"].update({"<|user|>": 900})),
    ("it has no model", lambda file: file.pop("model")),
]


@pytest.mark.parametrize(("message", "change"), REFUSED, ids=[message for message, _ in REFUSED])
def test_parts_that_cannot_be_honoured_are_named(message: str, change: Change, tmp_path: Path) -> None:
    trained().save(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunFolderError, match=message):
        Tokenizer.load(tmp_path)


def test_half_a_file_is_damaged(tmp_path: Path) -> None:
    trained().save(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunFolderError, match="is damaged: not valid JSON"):
        Tokenizer.load(tmp_path)


def test_no_tokenizer_there(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="has no tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(RunFolderError, match="neither a folder nor a file"):
        Tokenizer.load(tmp_path / "nothing.json")
    (tmp_path / "x.model").write_bytes(b"")
    with pytest.raises(RunFolderError, match="of no known kind"):
        Tokenizer.load(tmp_path / "x.model")


# Rank files


def write_ranks(file: Path, tokens: list[bytes], ranks: list[int] | None = None) -> Path:
    lines = [
        base64.b64encode(token) + b" %d\n" % rank
        for token, rank in zip(tokens, ranks or range(len(tokens)), strict=True)
    ]
    file.write_bytes(b"".join(lines))
    return file


def single_bytes() -> list[bytes]:
    return [bytes([byte]) for byte in range(256)]


def test_a_rank_file_needs_a_pattern(tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", [*single_bytes(), b"ab", b"abc"])
    with pytest.raises(ConfigError, match="give pattern= 'gpt2', 'cl100k', 'o200k' or"):
        Tokenizer.load(file)
    tokenizer = Tokenizer.load(file, pattern=r"\p{L}+")
    assert tokenizer.encode("abc ab") == [257, 32, 256]
    assert tokenizer.special_tokens == {}


def test_a_whole_word_is_its_token_even_if_no_merge_makes_it(tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", [*single_bytes(), b"abcd"])
    tokenizer = Tokenizer.load(file, pattern="gpt2")
    assert tokenizer.encode("abcd abcd") == [256, 32, 97, 98, 99, 100]
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode("abcd abcd") == [256, 32, 97, 98, 99, 100]


@pytest.mark.parametrize(
    ("tokens", "ranks", "message"),
    [
        ([*single_bytes(), b"ab"], [*range(256), 257], "the rank 256 is missing"),
        ([*single_bytes(), b"ab"], [*range(256), 7], "the rank 7 occurs twice, again on line 257"),
        ([*single_bytes(), b"ab", b"ab"], None, "the token b'ab' has more than one rank"),
        (single_bytes()[:-1], None, "lacks 1 of the 256 bytes, the first is 0xff"),
    ],
)
def test_damaged_ranks(tokens: list[bytes], ranks: list[int] | None, message: str, tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", tokens, ranks)
    with pytest.raises(RunFolderError, match=message):
        Tokenizer.load(file, pattern="gpt2")


def test_a_line_that_is_no_rank(tmp_path: Path) -> None:
    file = write_ranks(tmp_path / "x.tiktoken", single_bytes())
    file.write_bytes(file.read_bytes() + b"what is this\n")
    with pytest.raises(RunFolderError, match="line 257 is not a token in base64 and a rank"):
        Tokenizer.load(file, pattern="gpt2")


def test_a_pattern_is_only_for_rank_files(tmp_path: Path) -> None:
    trained().save(tmp_path)
    with pytest.raises(ConfigError, match="leave out pattern='gpt2'"):
        Tokenizer.load(tmp_path, pattern="gpt2")


def test_the_three_files_of_gpt2_agree(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "tokenizers"
    own = Tokenizer.load(folder / "gpt2")
    ranks = Tokenizer.load(folder / "tiktoken" / "r50k_base.tiktoken", pattern="gpt2")
    own.save(tmp_path)
    saved = Tokenizer.load(tmp_path)
    for tokenizer in (own, ranks, saved):
        assert (tokenizer.vocab_size, tokenizer.end_of_text) == (50257, 50256)
        assert tokenizer.encode("Hello world") == [15496, 995]
        assert all(tokenizer.encode(text) == own.encode(text) for text in python_source())
