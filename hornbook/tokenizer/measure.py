"""What a tokenizer makes of texts, in numbers: how far it compresses them, and how evenly across languages.

    english = compression(tokenizer, english_texts)
    english.bytes_per_token
    fairness({"eng_Latn": english, "tha_Thai": compression(tokenizer, thai_texts)}).premiums["tha_Thai"]

Any tokenizer can be measured; where its ids have no bytes of their own, what is counted in them is None. The
special tokens in a text are taken as plain text. Nothing here prints or draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hornbook.base.errors import ConfigError, TextError, did_you_mean
from hornbook.tokenizer.jit import Int64s
from hornbook.tokenizer.pretokenize import utf8
from hornbook.tokenizer.trace import has_bytes

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Compression:
    """Counts over some texts and their tokens, and the ratios between them."""

    texts: int
    """How many texts there are."""
    bytes: int
    """Their length in UTF-8."""
    characters: int
    """Their length in code points."""
    words: int
    """What white space separates; Chinese, Japanese and Thai, which write none between words, have few."""
    tokens: int
    """How many ids the tokenizer gives."""
    single_byte_tokens: int | None
    """Those of the tokens that are one byte: a letter of ASCII, or a part of any other character.

    None where ids have no bytes of their own, as in WordPiece.
    """
    fragments: int | None
    """Those of the tokens that are not whole characters, so that a text cannot be cut beside them.

    None where ids have no bytes of their own.
    """
    used: int
    """How many of the vocabulary's ids occur."""
    vocab_size: int

    @property
    def bytes_per_token(self) -> float:
        """The compression: the larger, the shorter the sequences."""
        return self.bytes / self.tokens

    @property
    def characters_per_token(self) -> float:
        """The same in characters, which differ in bytes between scripts: one in English, three in Thai."""
        return self.characters / self.tokens

    @property
    def tokens_per_word(self) -> float:
        """The fertility; it means something only where words are separated by white space."""
        return self.tokens / self.words

    @property
    def single_byte_share(self) -> float | None:
        """The share of the tokens that are one byte; None where they are not counted."""
        return None if self.single_byte_tokens is None else self.single_byte_tokens / self.tokens

    @property
    def fragment_share(self) -> float | None:
        """The share of the tokens that are not whole characters; None where they are not counted."""
        return None if self.fragments is None else self.fragments / self.tokens

    @property
    def used_share(self) -> float:
        """The share of the vocabulary that occurs; it grows with the amount of text."""
        return self.used / self.vocab_size


def compression(tokenizer: Tokenizer, texts: Iterable[str]) -> Compression:
    """Encode some texts and count; a `TextError` where there is nothing in them to divide by."""
    if isinstance(texts, str):
        raise TextError("texts must be many texts, not one str; for a single text give [text]")
    n_texts = n_bytes = n_characters = n_words = 0
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for text in texts:
        np.add.at(counts, tokenizer.encode_array(text, disallowed_special=()), 1)
        mended, raw = utf8(text)
        n_texts, n_bytes, n_characters = n_texts + 1, n_bytes + len(raw), n_characters + len(mended)
        n_words += len(mended.split())
    if not n_words:
        raise TextError(f"there is nothing to measure: {n_texts} texts, and no word in them")
    if not counts.any():
        raise TextError(f"there is nothing to measure: {n_texts} texts, and no token in them")
    single, broken = _parts(tokenizer, counts) if has_bytes(tokenizer) else (None, None)
    return Compression(
        n_texts, n_bytes, n_characters, n_words, int(counts.sum()), single, broken,
        int(np.count_nonzero(counts)), tokenizer.vocab_size,
    )  # fmt: skip


def _parts(tokenizer: Tokenizer, counts: Int64s) -> tuple[int, int]:
    """How many tokens are one byte, and how many are not whole characters."""
    spelled = {token: tokenizer.token_bytes(token) for token in np.flatnonzero(counts).tolist()}
    single = [token for token, data in spelled.items() if len(data) == 1]
    broken = [token for token, data in spelled.items() if not _is_text(data)]
    return int(counts[single].sum()), int(counts[broken].sum())


def _is_text(token: bytes) -> bool:
    """Whether some bytes are whole characters."""
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Fairness:
    """What the same texts cost in each language."""

    base: str
    """The language that the others are compared with."""
    best: str
    """The language with the fewest tokens."""
    worst: str
    """The language with the most tokens."""
    premiums: Mapping[str, float]
    """How many times the tokens of the base each language needs, the smallest premium first."""
    ratio: float
    """How many times the tokens of the best language the worst one needs."""
    gini: float
    """How unequal the tokens are, 0 where all languages need the same, near 1 where one needs nearly all.

    The Gini coefficient, used so by Foroutan et al., "Parity-Aware Byte-Pair Encoding" (2025).
    """


def fairness(parallel: Mapping[str, Compression], base: str = "eng_Latn") -> Fairness:
    """Compare the tokens that the same texts take in several languages, measured with one tokenizer.

    The premium of a language is its number of tokens over that of the base, each added up over all texts,
    after Petrov, La Malfa, Torr and Bibi, "Language Model Tokenizers Introduce Unfairness Between
    Languages" (2023). A `TextError` where the numbers of texts or the tokenizers differ.
    """
    if base not in parallel:
        raise ConfigError(f"base={base!r} is none of the languages, {did_you_mean(base, parallel)}")
    for language, found in parallel.items():
        if found.texts != parallel[base].texts:
            raise TextError(
                f"the texts are not the same ones: {parallel[base].texts} in {base!r}, "
                f"{found.texts} in {language!r}"
            )
        if found.vocab_size != parallel[base].vocab_size:
            raise TextError(f"{base!r} and {language!r} were measured with different tokenizers")
    order = sorted(parallel, key=lambda language: (parallel[language].tokens, language))
    tokens = [parallel[language].tokens for language in order]
    premiums = {language: parallel[language].tokens / parallel[base].tokens for language in order}
    return Fairness(base, order[0], order[-1], premiums, tokens[-1] / tokens[0], _gini(tokens))


def _gini(ascending: list[int]) -> float:
    """The Gini coefficient: half the mean difference of all pairs, over the mean."""
    n = len(ascending)
    weighted = sum((2 * place - n + 1) * value for place, value in enumerate(ascending))
    return weighted / (n * sum(ascending))
