"""The settings beside a vocabulary: read as others write them, and written as `transformers` reads them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizer.test_foreign import load, unigram, word_piece
from tokenizer.test_formats import trained
from tokenizer.texts import python_source

from hornbook.base.errors import RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.files.settings import Settings, to_config

TEMPLATE = (
    "{% for message in messages %}{{ '<|user|>' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|user|>' }}{% endif %}"
)


def folder_with(folder: Path, **config: Any) -> Path:
    """A folder of ours with other settings."""
    trained().save(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_as_others_write_them(tmp_path: Path) -> None:
    flags = {
        "__type": "AddedToken",
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }
    folder = folder_with(
        tmp_path,
        tokenizer_class="LlamaTokenizer",
        model_max_length=1e30,
        bos_token=None,
        eos_token={"content": "<|user|>", **flags},
        pad_token="<|endoftext|>",
        added_tokens_decoder={"799": {"content": "<|user|>", **flags}},
        chat_template=[{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}],
    )
    expected = Settings(
        eos_token="<|user|>", pad_token="<|endoftext|>", chat_template="a", named_templates={"tool_use": "b"}
    )
    assert Tokenizer.load(folder).settings == expected
    (folder / "chat_template.jinja").write_text("c\n", encoding="utf-8")
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.settings == dataclasses.replace(expected, chat_template="c\n")
    tokenizer.save(folder)
    assert Tokenizer.load(folder).settings == tokenizer.settings


def test_special_tokens_without_a_role_are_where_every_version_reads_them() -> None:
    config = to_config(Settings(eos_token="<a>"), ["<a>", "<b>"])
    assert config["additional_special_tokens"] == ["<b>"] and "extra_special_tokens" not in config


def test_without_settings_the_vocabulary_says_what_it_can(tmp_path: Path) -> None:
    trained().save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert Tokenizer.load(tmp_path).settings == Settings(bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"pad_token": "<pad>"},
            "pad_token is '<pad>', which is no token of the vocabulary; add it there, or",
        ),
        ({"added_tokens_decoder": {"9": {"content": "<x>"}}}, "added token 9 is '<x>', which is no token of"),
        ({"added_tokens_decoder": [1]}, "added_tokens_decoder is no map"),
        ({"eos_token": 7}, "is damaged: eos_token is 7, which is no token"),
        ({"chat_template": 7}, "chat_template is neither a text nor a list of named ones"),
        ({"chat_template": [{"name": "a"}]}, "chat_template is neither a text nor a list of named ones"),
        ({"chat_template": [{"name": "a", "template": 1}]}, "chat_template is neither a text nor a list"),
    ],
)
def test_damaged_settings(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=message):
        Tokenizer.load(folder_with(tmp_path, **config))


def test_settings_that_are_no_settings(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "tokenizer_config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RunFolderError, match="it is not a map"):
        Tokenizer.load(folder)
    (folder / "tokenizer_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunFolderError, match="not valid JSON"):
        Tokenizer.load(folder)
    (folder / "tokenizer_config.json").unlink()
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(RunFolderError, match=r"chat_template.jinja is damaged: not UTF-8"):
        Tokenizer.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ours", "llama3", "unigram", "word_piece"])
def test_transformers_loads_what_is_saved(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    if kind == "ours":
        ours = trained()
    elif kind == "llama3":
        ours = trained("llama3")
    else:
        ours = load(tmp_path, unigram() if kind == "unigram" else word_piece())
    end = list(ours.special_tokens)[-1]
    roles = Settings(eos_token=end, chat_template=TEMPLATE)
    ours.settings = roles
    ours.save(tmp_path / "saved")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert sorted(theirs.all_special_tokens) == sorted(ours.special_tokens)
    assert (theirs.eos_token, theirs.bos_token) == (end, None)
    for text in [*python_source(), "", " a  b", "é 中文 😀", f"a{end} b {end}"]:
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, allowed_special="all") == ids
    assert theirs.chat_template == TEMPLATE
    messages = [{"role": "user", "content": "hi"}]
    text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == f"<|user|>hi{end}<|user|>"
    assert Tokenizer.load(tmp_path / "saved").settings == roles
