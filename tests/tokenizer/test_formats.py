"""Files: what is written is what Hugging Face's library reads, and what cannot be honoured is refused."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source, stable

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.files.expressions import is_portable
from hornbook.tokenizer.files.tokenizer_json import to_tokenizer_json
from hornbook.tokenizer.foreign import Foreign
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


# Files that others write, done here


def of_library(data: dict[str, Any]) -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    return tokenizers.Tokenizer.from_str(json.dumps(data))


def content(**changes: Any) -> dict[str, Any]:
    """The file of a small tokenizer, changed."""
    return {**to_tokenizer_json(trained().vocabulary), **changes}


def write(folder: Path, data: dict[str, Any]) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


def split(expression: str) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    cut = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, byte_level]}


def added(place: int, text: str, special: bool = False, **flags: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": place, "content": text, **plain, "special": special, **flags}


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|user|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|user|>": {"id": "<|user|>", "ids": [799], "tokens": ["<|user|>"]}},
}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


def llama3() -> dict[str, Any]:
    """Llama 3: whole words, and a post-processor that begins every text with a special token."""
    data = content(pre_tokenizer=split(LLAMA3))
    data["model"]["ignore_merges"] = True
    data["post_processor"] = {"type": "Sequence", "processors": [BYTE_LEVEL, TEMPLATE]}
    return data


def qwen2() -> dict[str, Any]:
    """Qwen 2 and 3: each digit a word, NFC, added tokens that are not special."""
    more = [
        added(800, "<|im_end|>", True),
        added(801, "<tool_call>"),
        added(802, "</tool_call>"),
        added(803, "<é>"),
    ]
    data = content(pre_tokenizer=split(LLAMA3.replace("{1,3}", "")), normalizer={"type": "NFC"})
    return {**data, "added_tokens": [*data["added_tokens"], *more], "post_processor": BYTE_LEVEL}


def neox() -> dict[str, Any]:
    """GPT-NeoX: rows of spaces as added tokens, looked for after the special ones."""
    data = content(normalizer={"type": "Sequence", "normalizers": []})
    rows = [added(800 + size, " " * size, normalized=True) for size in range(2, 9)]
    data["added_tokens"] += [added(800, "<pad>", normalized=True), added(801, "<x>", normalized=True), *rows]
    return data


@pytest.mark.parametrize("make", [llama3, qwen2, neox])
def test_published_pipelines_are_done_here(make: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    data = make()
    theirs = of_library(data)
    ours = Tokenizer.load(write(tmp_path, data))
    assert ours.vocabulary.post_processor == data["post_processor"]
    ours.save(tmp_path / "again")
    again = Tokenizer.load(tmp_path / "again")
    saved = of_library(json.loads((tmp_path / "again" / "tokenizer.json").read_text("utf-8")))
    texts = ["<|im_end|>", "<tool_call>", "<|user|>", "<e\u0301>", "<é>", "e\u0301", "    ", "<x", "12345"]
    mixed = st.lists(st.sampled_from(texts) | st.text(max_size=4), max_size=12).map("".join)

    @settings(max_examples=300, derandomize=True)
    @given((any_text | mixed).map(lambda text: utf8(text)[0]).filter(stable))
    def same(text: str) -> None:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, allowed_special="all") == ids
        assert again.encode(text, allowed_special="all") == ids
        assert saved.encode(text, add_special_tokens=False).ids == ids
        assert saved.encode(text).ids == theirs.encode(text).ids

    same()
    for text in python_source():
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


# Expressions that the two libraries read otherwise, and Unicode forms of which they know other versions

FOUR = [r"^ab|\s|\w", r"a+$|\s|\w", r"\h+|\s|.", "[a-z&&[^b]]+|."]
CUT = ["ab\nab abab", "aa\naa aab", "cafe hhh", "abcab && b", "x\ty a"]


@pytest.mark.parametrize("expression", FOUR)
def test_expressions_that_mean_something_else_are_the_librarys(expression: str, tmp_path: Path) -> None:
    data = content(pre_tokenizer=split(expression))
    theirs, ours = of_library(data), Tokenizer.load(write(tmp_path, data))
    assert isinstance(ours._engine, Foreign)
    for text in [*CUT, *python_source()]:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@pytest.mark.filterwarnings("ignore:Possible set:FutureWarning")
@pytest.mark.parametrize("expression", FOUR)
def test_our_own_expressions_stay_as_they_were_learned(
    expression: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = Tokenizer.train([*CUT * 3, *python_source()], 300, pattern=expression)
    caplog.clear()
    tokenizer.save(tmp_path)
    assert ["may cut text otherwise" in each.getMessage() for each in caplog.records] == [True]
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        again = Tokenizer.load(path)
        assert again.pattern == expression and again.merges == tokenizer.merges
        assert [again.encode(text) for text in CUT] == [tokenizer.encode(text) for text in CUT]
    # The mark is for this expression and no other.
    write(tmp_path, content(pre_tokenizer=split(FOUR[FOUR.index(expression) - 1])))
    assert isinstance(Tokenizer.load(tmp_path)._engine, Foreign)


@pytest.mark.parametrize(
    ("expression", "portable"),
    [
        *[(expression, True) for expression in PATTERNS.values()],
        *[(expression, False) for expression in FOUR],
        (r"\p{L}+| ", True),
        (r"(?:a|\p{Nd}{1,3})+(?!\S)|[^\s\p{L}a-z_\-]|\.", True),
        ("(?:(?:'(?i:[sdmt]|ll|ve|re))+)", True),
        *[(expression, False) for expression in [r"\w+", "a*|b", "a++", "a+?", "a{2}?", "(a)", "(?:a?)+"]],
        *[
            (expression, False)
            for expression in ["(?i:ss)", r"\bx", "[[:alpha:]]", "[a--b]", "[a||b]", "(?=a)"]
        ],
        *[
            (expression, False)
            for expression in ["(?:a", "a)", "(?:a)|", r"\p{Greek}", "(?<=a)b", "(?>a)", "", "a\\"]
        ],
    ],
)
def test_what_both_libraries_read_alike(expression: str, portable: bool) -> None:
    assert is_portable(expression) is portable


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_unicode_forms_are_the_librarys(form: str, tmp_path: Path) -> None:
    data = content(normalizer={"type": form})
    theirs, ours = of_library(data), Tokenizer.load(write(tmp_path, data))
    assert isinstance(ours._engine, ByteLevel if form == "NFC" else Foreign)
    points = [point for point in range(0xA0, 0x32000) if not 0xD800 <= point < 0xE000]
    for first in range(0, len(points), 4096):
        text = " ".join(map(chr, points[first : first + 4096]))
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_a_text_that_is_two_tokens_cannot_be_saved(tmp_path: Path) -> None:
    vocabulary = dataclasses.replace(trained().vocabulary, added_tokens={"def": 800})
    with pytest.raises(
        ConfigError, match=r"'def' is an ordinary token, [0-9]+, and one that is cut out, 800"
    ):
        Tokenizer(ByteLevel(vocabulary)).save(tmp_path)
    assert not (tmp_path / "tokenizer.json").exists()


# What is refused

Change = Callable[[dict[str, Any]], object]
REFUSED: list[tuple[str, Change]] = [
    ("the model type 'Huh' is not known, known: BPE, Uni", lambda file: file["model"].update(type="Huh")),
    ("model dropout 0.1 cannot be honoured, ids would be", lambda file: file["model"].update(dropout=0.1)),
    ("the part 'cleverness'", lambda file: file["model"].update(cleverness=1)),
    ("the part 'wisdom'", lambda file: file.update(wisdom=1)),
    ("normalizer 'NFX' is not known, did you mean 'NF", lambda file: file.update(normalizer={"type": "NFX"})),
    ("normalizer None is not known", lambda file: file.update(normalizer={})),
    (
        "normalizer 7 is not known",
        lambda file: file.update(normalizer={"type": "Sequence", "normalizers": 7}),
    ),
    ("truncation cannot be honoured", lambda file: file.update(truncation={"max_length": 5})),
    ("padding cannot be honoured", lambda file: file.update(padding={"direction": "Right"})),
    ("decoder 'Byte' is not known", lambda file: file.update(decoder={"type": "Byte"})),
    ("post_processor 'Bert' is not known", lambda file: file.update(post_processor={"type": "Bert"})),
    ("pre_tokenizer 'White' is not known", lambda file: file.update(pre_tokenizer={"type": "White"})),
    ("is not an added token", lambda file: file.update(added_tokens=[3])),
    ("7 is not an added token", lambda file: file.update(added_tokens=7)),
    ("is not an added token", lambda file: file["added_tokens"][1].update(content="")),
    (
        "the added token '<.user.>' occurs twice",
        lambda file: file["added_tokens"].append(file["added_tokens"][1]),
    ),
    (
        "lstrip of the added token '<.user.>' is not true",
        lambda file: file["added_tokens"][1].update(lstrip=1),
    ),
    (
        "the id 99999999 of the token '<.user.>' is imp",
        lambda file: file["added_tokens"][1].update(id=99999999),
    ),
    ("the id '5' of the token '<.user.>' is imposs", lambda file: file["added_tokens"][1].update(id="5")),
    ("its vocabulary or its merges are missing", lambda file: file["model"].pop("merges")),
    ("the merge .'h'. is not a pair", lambda file: file["model"].update(merges=[["h"]])),
    ("the merge 'h e l' is not a pair", lambda file: file["model"].update(merges=["h e l"])),
    ("needs 'qqq', which is no token", lambda file: file["model"].update(merges=["qqq r"])),
    ("lacks 1 of the 256 bytes, the first is 0x21", lambda file: file["model"]["vocab"].pop("!")),
    ("the id -1 of the token '!'", lambda file: file["model"]["vocab"].update({"!": -1})),
    ("the id 1e.30 of the token '!'", lambda file: file["model"]["vocab"].update({"!": 1e30})),
    ("the id True of the token '!'", lambda file: file["model"]["vocab"].update({"!": True})),
    ("the token '中' is not special", lambda file: file["model"]["vocab"].update({"中": 900})),
    ("two tokens have one id", lambda file: file["model"]["vocab"].update({"zzzzz": 5})),
    ("'<.user.>' has two", lambda file: file["model"]["vocab"].update({"<|user|>": 900})),
    ("is not Unicode", lambda file: file["added_tokens"][1].update(content="\ud800", id=900)),
    ("it has no model", lambda file: file.pop("model")),
    ("it has no model", lambda file: file.update(model=[])),
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


def test_a_pattern_is_only_for_rank_files(tmp_path: Path) -> None:
    trained().save(tmp_path)
    with pytest.raises(ConfigError, match="leave out pattern='gpt2'"):
        Tokenizer.load(tmp_path, pattern="gpt2")


def test_no_tokenizer_there(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="has no tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(RunFolderError, match="neither a folder nor a file"):
        Tokenizer.load(tmp_path / "nothing.json")
    (tmp_path / "x.vocab").write_bytes(b"")
    with pytest.raises(RunFolderError, match="of no known kind"):
        Tokenizer.load(tmp_path / "x.vocab")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*arguments: object, **options: object) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", locked)
    with pytest.raises(RunFolderError, match="cannot be read: Permission denied"):
        Tokenizer.load(tmp_path)


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
