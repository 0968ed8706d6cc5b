"""Vocabularies that are not ours: the ids are the library's, and special tokens obey our rules."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source

from hornbook.base.errors import MissingPackageError, RunFolderError, TextError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.foreign import Foreign
from hornbook.tokenizer.pretokenize import utf8

tokenizers = pytest.importorskip("tokenizers")


def added(place: int, text: str, special: bool = True, **flags: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": place, "content": text, **plain, "special": special, **flags}


def content(model: Any, special: list[str], trainer: Any, **parts: Any) -> dict[str, Any]:
    """A small tokenizer that the library has trained, as its file holds it."""
    library = tokenizers.Tokenizer(model)
    for part, found in parts.items():
        setattr(library, part, found)
    library.train_from_iterator(
        python_source(), trainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    return json.loads(library.to_str())


def word_piece() -> dict[str, Any]:
    return content(
        tokenizers.models.WordPiece(unk_token="[UNK]"),
        ["[UNK]", "[MASK]"],
        tokenizers.trainers.WordPieceTrainer,
        normalizer=tokenizers.normalizers.BertNormalizer(),
        pre_tokenizer=tokenizers.pre_tokenizers.Whitespace(),
        decoder=tokenizers.decoders.WordPiece(),
    )


@functools.cache
def trained_unigram() -> str:
    library = content(
        tokenizers.models.Unigram(),
        ["<unk>", "</s>"],
        lambda **options: tokenizers.trainers.UnigramTrainer(unk_token="<unk>", **options),
        normalizer=tokenizers.normalizers.NFKC(),
        pre_tokenizer=tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first"),
        decoder=tokenizers.decoders.Metaspace(prepend_scheme="first"),
    )
    return json.dumps(library)


def unigram() -> dict[str, Any]:
    return json.loads(trained_unigram())


def word_level() -> dict[str, Any]:
    return content(
        tokenizers.models.WordLevel(unk_token="<unk>"),
        ["<unk>", "<end>"],
        tokenizers.trainers.WordLevelTrainer,
        pre_tokenizer=tokenizers.pre_tokenizers.WhitespaceSplit(),
    )


def two_splits() -> dict[str, Any]:
    """Byte-level BPE as DeepSeek cuts it: several splits in a row."""
    cut = tokenizers.pre_tokenizers.Split
    pattern = tokenizers.Regex
    return content(
        tokenizers.models.BPE(),
        ["<end>"],
        lambda **options: tokenizers.trainers.BpeTrainer(
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), **options
        ),
        pre_tokenizer=tokenizers.pre_tokenizers.Sequence(
            [
                cut(pattern(r"\p{N}{1,3}"), "isolated"),
                cut(pattern("[一-龥]+"), "isolated"),
                tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        ),
        decoder=tokenizers.decoders.ByteLevel(),
    )


KINDS = {"WordPiece": word_piece, "Unigram": unigram, "WordLevel": word_level, "BPE": two_splits}


def load(folder: Path, data: dict[str, Any]) -> Tokenizer:
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return Tokenizer.load(folder)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_ids_are_those_of_the_library(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind]()
    theirs = tokenizers.Tokenizer.from_str(json.dumps(data))
    ours = load(tmp_path, data)
    ours.save(tmp_path / "again")
    again = Tokenizer.load(tmp_path / "again")
    assert (ours.vocab_size, again.special_tokens) == (theirs.get_vocab_size(), ours.special_tokens)

    @settings(max_examples=200)
    @given(any_text)
    def same(text: str) -> None:
        ids = theirs.encode(utf8(text)[0], add_special_tokens=False).ids
        assert ours.encode(text, allowed_special="all") == ids
        assert again.encode(text, allowed_special="all") == ids

    same()
    texts = python_source()
    ids = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    assert ours.encode_batch(texts, threads=1) == ours.encode_batch(texts, threads=2) == ids


@pytest.mark.parametrize("kind", list(KINDS))
def test_decoded_at_once_or_one_by_one(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind]()
    theirs = tokenizers.Tokenizer.from_str(json.dumps(data))
    ours = load(tmp_path, data)

    @settings(max_examples=200)
    @given(st.lists(st.integers(0, ours.vocab_size - 1), max_size=20))
    def same(ids: list[int]) -> None:
        text = theirs.decode(ids, skip_special_tokens=False)
        assert ours.decode(ids) == text
        stream = ours.stream()
        for _ in range(2):
            assert "".join([stream.push(token) for token in ids]) + stream.finish() == text

    same()
    for token in (-1, ours.vocab_size):
        with pytest.raises(
            TextError, match=rf"the id {token} is out of range: .* ids 0 to {ours.vocab_size - 1}"
        ):
            ours.decode([token])
        with pytest.raises(TextError, match="is out of range"):
            ours.stream().push(token)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_special_token_is_one_only_where_it_is_allowed(kind: str, tmp_path: Path) -> None:
    """Unigram and WordLevel have a word for each special token; plain text must not become it."""
    ours = load(tmp_path, KINDS[kind]())
    special = list(ours.special_tokens)[-1]
    place = ours.special_tokens[special]
    for text in (special, f"if {special} x", f"{special}{special}"):
        with pytest.raises(TextError, match="contains the special token"):
            ours.encode(text)
        assert place not in ours.encode(text, disallowed_special=())
        allowed = ours.encode(text, allowed_special={special})
        assert allowed.count(place) == text.count(special)
        assert ours.encode(text, allowed_special="all") == allowed
    if kind == "Unigram":
        # The library finds the token in what NFKC makes of the text, where nobody asked for it.
        assert place not in ours.encode("\uff1c/s\uff1e")


def test_some_special_tokens_and_not_others_keep_their_ids(tmp_path: Path) -> None:
    """Those that the model lacks are numbered by the library, which must not show."""
    data = word_piece()
    size = len(data["model"]["vocab"])
    data["added_tokens"] += [
        added(size, "<a>"),
        added(size + 1, "<b>"),
        added(size + 2, "<c>", special=False),
    ]
    ours = load(tmp_path, data)
    assert (ours.special_tokens["<b>"], ours.added_tokens) == (size + 1, {"<c>": size + 2})
    ids = ours.encode("<a><b><c>", allowed_special={"<b>"}, disallowed_special=())
    assert ids[-2:] == [size + 1, size + 2]
    assert size not in ids
    assert ours.encode("<c>") == [size + 2]


def test_flags_of_added_tokens_are_the_librarys() -> None:
    data = word_piece()
    size = len(data["model"]["vocab"])
    data["pre_tokenizer"] = None
    data["added_tokens"] += [
        added(size, "<l>", lstrip=True),
        added(size + 1, "<r>", rstrip=True),
        added(size + 2, "<w>", single_word=True),
        added(size + 3, "<N>", special=False, normalized=True),
    ]
    theirs = tokenizers.Tokenizer.from_str(json.dumps(data))
    engine = Foreign(data, "the file")
    for text in ("if  <l> <r>  if", "<w> a<w>", "<N><n>", "<l>"):
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert engine.encode_between(text, engine.special_tokens).tolist() == ids
    assert engine.encode("<n>").tolist() == [size + 3]


def test_bytes_of_a_token(tmp_path: Path) -> None:
    ours = load(tmp_path, unigram())
    ids = ours.encode("def length(self): return")
    assert b"".join(ours.token_bytes(token) for token in ids) == b" def length(self): return"
    assert ours.token_bytes(ours.special_tokens["</s>"]) == b"</s>"
    assert ours.decode(ids) == "def length(self): return"
    ours = load(tmp_path, two_splits())
    assert b"".join(map(ours.token_bytes, ours.encode("é 12 中"))) == "é 12 中".encode()
    ours = load(tmp_path, word_piece())
    with pytest.raises(TextError, match=r"has no bytes of its own: .* use decode"):
        ours.token_bytes(ours.encode("def")[0])


def test_byte_lengths() -> None:
    engine = Foreign(unigram(), "the file")
    lengths = engine.byte_lengths()
    ids = engine.encode("def length")
    assert lengths[ids].sum() == len(" def length")
    assert lengths[list(engine.special_tokens.values())].tolist() == [0, 0]
    with pytest.raises(TextError, match="has no bytes of its own"):
        Foreign(word_piece(), "the file").byte_lengths()


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = word_piece()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'hornbook\[foreign\]'"):
        load(tmp_path, data)


def word_level_of(**vocab: int) -> dict[str, Any]:
    return {"type": "WordLevel", "unk_token": "a", "vocab": vocab}


NOT_HONOURED: list[tuple[str, dict[str, Any]]] = [
    ("the tokenizers library says: ", {"model": {"type": "WordPiece"}}),
    ("the tokenizers library says: ", {"decoder": {"type": "Metaspace"}}),
    ("normalizer 'strength' is not known", {"normalizer": {"type": "NFC", "strength": 1}}),
    (
        "decoder 'speed' is not known",
        {"decoder": {"type": "WordPiece", "prefix": "", "cleanup": True, "speed": 1}},
    ),
    ("'<x>' has the id 7, but the tokenizers library gives it 400", {"added_tokens": [added(7, "<x>")]}),
    ("two tokens have one id", {"model": word_level_of(a=0, b=0)}),
    ("the id 4000000000 of the token 'a' is impossible", {"model": word_level_of(a=4 * 10**9)}),
    (
        "'<x>' comes after ids with gaps",
        {"model": word_level_of(a=0, b=2), "added_tokens": [added(2, "<x>")]},
    ),
]


@pytest.mark.parametrize(("message", "change"), NOT_HONOURED)
def test_what_the_library_cannot_honour(message: str, change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=message):
        load(tmp_path, {**word_piece(), **change})


def test_bert(real_data: Path) -> None:
    folder = real_data / "tokenizers"
    ours = Tokenizer.load(folder / "bert-base-uncased")
    vectors = folder / "llamacpp_vectors" / "ggml-vocab-bert-bge.gguf"
    texts = Path(f"{vectors}.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    lines = Path(f"{vectors}.out").read_text("utf-8").split("\n")
    assert len(texts) == len(lines) > 40
    for text, line in zip(texts, lines, strict=True):
        assert ours.encode(text) == [int(token) for token in line.split()]
    theirs = tokenizers.Tokenizer.from_file(str(folder / "bert-base-uncased" / "tokenizer.json"))
    for file in sorted((real_data / "udhr").rglob("*.txt")):
        text = file.read_text("utf-8")
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_text_with_added_tokens_is_cut_as_the_library_cuts_it(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind]()
    size = tokenizers.Tokenizer.from_str(json.dumps(data)).get_vocab_size()
    data["added_tokens"] += [
        added(size, "<l>", lstrip=True),
        added(size + 1, "<r>", rstrip=True),
        added(size + 2, "<w>", single_word=True),
        added(size + 3, "<n>", special=False),
        added(size + 4, "<r>x", special=False, rstrip=True),
    ]
    theirs, ours = tokenizers.Tokenizer.from_str(json.dumps(data)), load(tmp_path, data)
    pieces = ["<l>", "<r>", "<w>", "<n>", "<r>x", " ", "  ", "a", "if", "\n", *ours.special_tokens]

    @settings(max_examples=200)
    @given(st.lists(st.sampled_from(pieces), max_size=12).map("".join))
    def same(text: str) -> None:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, allowed_special="all") == ids
        assert ours.encode_batch([text], allowed_special="all") == [ids]

    same()


def test_how_much_text_a_token_stands_for(tmp_path: Path) -> None:
    ours = load(tmp_path, unigram())
    assert ours.byte_lengths[ours.encode("def length")].sum() == len(" def length")
