"""Published test vectors: the ids that llama.cpp and the authors of tiktoken's ports wrote down for texts."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from hornbook.tokenizer import Tokenizer

PATTERN_OF = {"r50k_base": "gpt2", "cl100k_base": "cl100k", "o200k_base": "o200k"}
"""The encodings of the test plans whose rank files are at hand, and how each cuts words."""


@functools.cache
def loaded(encoding: str, folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "tiktoken" / f"{encoding}.tiktoken", pattern=PATTERN_OF[encoding])


def plans(folder: Path) -> list[tuple[str, str, list[int]]]:
    """The encoding, the text and the ids of each plan; a plan is three lines with names, and an empty one."""
    found = []
    content = (folder / "tiktoken" / "TestPlans.txt").read_bytes().decode("utf-8")
    for plan in content.strip("\n").replace("\r\n", "\n").split("\n\n"):
        encoding, sample, ids = plan.split("\n")
        text = sample.removeprefix("Sample:").removeprefix(" ")
        found.append(
            (encoding.removeprefix("EncodingName: "), text, json.loads(ids.removeprefix("Encoded: ")))
        )
    return found


@pytest.mark.parametrize(
    ("encoding", "n_plans"), [("r50k_base", 64), ("cl100k_base", 64), ("o200k_base", 57)]
)
def test_the_test_plans(encoding: str, n_plans: int, real_data: Path) -> None:
    tokenizer = loaded(encoding, real_data / "tokenizers")
    chosen = [(text, ids) for name, text, ids in plans(real_data / "tokenizers") if name == encoding]
    assert len(chosen) == n_plans
    for text, ids in chosen:
        assert tokenizer.encode(text) == ids, text
        assert tokenizer.decode(ids) == text
    assert tokenizer.encode_batch([text for text, _ in chosen]) == [ids for _, ids in chosen]


def gpt2_vectors(folder: Path) -> list[tuple[str, list[int]]]:
    """The texts of llama.cpp's vectors for GPT-2, which a mark parts, and the ids, a line for each."""
    file = folder / "llamacpp_vectors" / "ggml-vocab-gpt-2.gguf.inp"
    mark = "\n__ggml_vocab_test__\n"
    texts = file.read_bytes().decode("utf-8").removesuffix(mark).split(mark)
    lines = file.with_suffix(".out").read_text(encoding="utf-8").split("\n")
    assert set(lines[len(texts) :]) <= {""}
    ids = [[int(word) for word in line.split()] for line in lines]
    return list(zip(texts, ids[: len(texts)], strict=True))


@pytest.mark.parametrize("name", ["gpt2", "r50k_base"])
def test_the_vectors_of_llama_cpp(name: str, real_data: Path) -> None:
    folder = real_data / "tokenizers"
    tokenizer = Tokenizer.load(folder / name) if name == "gpt2" else loaded(name, folder)
    vectors = gpt2_vectors(folder)
    assert len(vectors) > 40
    for text, ids in vectors:
        assert tokenizer.encode(text) == ids, text
        assert tokenizer.decode(ids) == text
