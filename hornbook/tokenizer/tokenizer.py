"""The tokenizer: text to ids and back, trained, loaded and saved.

    tokenizer = Tokenizer.train(texts, vocab_size=4096)
    ids = tokenizer.encode("Hello world")
    assert tokenizer.decode(ids) == "Hello world"

Ids of a tokenizer trained here are the 256 bytes in GPT-2's order, the merged tokens as they were learned,
and the special tokens last. One that is loaded keeps the ids of its file, wherever its special tokens
stand. Compiled code is loaded at the first encoding, not at import. This module knows no file format and
no algorithm: see `files/formats.py`, `train.py`, `encode.py`, and `reference.py` to read.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hornbook.base.errors import ConfigError, TextError, did_you_mean
from hornbook.base.progress import Progress, silent
from hornbook.tokenizer.alphabet import BYTES
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.engine import Engine, TextStream
from hornbook.tokenizer.files import formats
from hornbook.tokenizer.files.settings import Settings
from hornbook.tokenizer.jit import Int32s
from hornbook.tokenizer.pretokenize import resolve, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.chat import Chat

END_OF_TEXT = "<|endoftext|>"
Specials = Collection[str] | Literal["all"]
"""Special tokens by their texts, or all of them."""


class Tokenizer:
    """Text to ids and back, by one vocabulary; safe to use from many threads."""

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        self._engine = engine
        self.settings = settings or Settings()
        self.special_tokens: dict[str, int] = dict(engine.special_tokens)
        self.added_tokens: dict[str, int] = dict(engine.added_tokens)
        self._usual = set(self.added_tokens), set(self.special_tokens)
        # A text may hold characters beyond the first plane in halves, which must be joined to be found.
        self._in_halves = max("".join([*self.special_tokens, *self.added_tokens]), default="") > "\uffff"
        self._cut_out = _Finder([*self.special_tokens, *self.added_tokens])

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (END_OF_TEXT,),
        min_frequency: int = 2,
        threads: int | None = None,
        max_words: int | None = None,
        progress: Progress = silent,
    ) -> Tokenizer:
        """Learn a tokenizer of `vocab_size` tokens, special ones included, from a stream of texts.

        `pattern` is the name of a published pattern or a regular expression; pairs seen less than
        `min_frequency` times are not merged. Words are counted in `threads` (None: one for each processor;
        the result is the same). Memory grows with the distinct words, not with the text; with `max_words`
        the rarest are dropped where there are more, and a warning says how many. `progress` is told each
        merge.
        """
        from hornbook.tokenizer.train import train

        if isinstance(texts, str | os.PathLike):
            raise TextError(
                "texts must be many texts, not one; for a single text give [text], and for files and "
                "folders use train_tokenizer(paths, out, vocab_size) of hornbook.recipes.vocabulary"
            )
        _check_special(special_tokens)
        vocabulary = train(
            texts, resolve(pattern), vocab_size, special_tokens, min_frequency,
            n_threads(threads), max_words, progress,
        )  # fmt: skip
        return cls(ByteLevel(vocabulary), formats.settings_for(vocabulary.special_tokens))

    @classmethod
    def load(cls, path: str | os.PathLike[str], pattern: str | None = None) -> Tokenizer:
        """Load a folder of ours, a `tokenizer.json`, a `.tiktoken` rank file, or GPT-2's `vocab.bpe`.

        A rank file says nothing of how text is split: give `pattern`, a published name or an expression.
        """
        return cls(*formats.load(Path(path), pattern))

    @classmethod
    def from_ranks(
        cls, ranks: Mapping[bytes, int], pattern: str, special_tokens: Mapping[str, int] | None = None
    ) -> Tokenizer:
        """Build a tokenizer from tiktoken's `mergeable_ranks`, which are 0, 1, 2 and so on without a gap."""
        from hornbook.tokenizer.files.rank_files import from_ranks

        vocabulary = from_ranks(ranks, pattern, special_tokens or {}, "the table of ranks")
        return cls(ByteLevel(vocabulary), formats.settings_for(vocabulary.special_tokens))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which Hugging Face's libraries read too."""
        formats.save(self._engine, self.settings, Path(folder))

    def ranks(self) -> dict[bytes, int]:
        """Return tiktoken's `mergeable_ranks`; a `ConfigError` where they would give other ids."""
        from hornbook.tokenizer.files.rank_table import ranks

        return ranks(self.vocabulary)

    def save_ranks(self, file: str | os.PathLike[str]) -> None:
        """Write a `.tiktoken` rank file, which has no place for the pattern and the special tokens."""
        from hornbook.tokenizer.files.rank_files import write_ranks

        write_ranks(self.vocabulary, file)

    # Text to ids

    def encode(
        self, text: str, allowed_special: Specials = frozenset(), disallowed_special: Specials = "all"
    ) -> list[int]:
        """Return the ids of a text.

        The text of a special token is refused, unless it is among `allowed_special` (and becomes its
        id) or not among `disallowed_special` (and is text like any other). Lone surrogates become U+FFFD.
        """
        return self._engine.listed(self.encode_array(text, allowed_special, disallowed_special))

    def encode_array(
        self, text: str, allowed_special: Specials = frozenset(), disallowed_special: Specials = "all"
    ) -> Int32s:
        """Return the ids of a text as an int32 array; the keywords are those of `encode`."""
        text = self._whole(text)
        cut_out = self._to_cut_out(text, *self._chosen(allowed_special, disallowed_special))
        return self._engine.encode_between(text, cut_out) if cut_out else self._engine.encode(text)

    def count_tokens(
        self, text: str, allowed_special: Specials = frozenset(), disallowed_special: Specials = "all"
    ) -> int:
        """Return how many ids `encode` gives for a text."""
        return len(self.encode_array(text, allowed_special, disallowed_special))

    def encode_batch(
        self,
        texts: Iterable[str],
        threads: int | None = None,
        allowed_special: Specials = frozenset(),
        disallowed_special: Specials = "all",
    ) -> list[list[int]]:
        """Return the ids of each text, encoded in threads (None: one for each processor)."""
        if isinstance(texts, str):
            raise TextError("texts must be many texts, not one str; use encode for a single text")
        n_workers = n_threads(threads)
        texts = [self._whole(text) for text in texts]
        chosen = self._chosen(allowed_special, disallowed_special)
        apart: dict[int, list[int]] = {}
        for place, text in enumerate(texts):
            if cut_out := self._to_cut_out(text, *chosen):
                apart[place] = self._engine.listed(self._engine.encode_between(text, cut_out))
                texts[place] = ""
        ids = self._engine.encode_many(texts, n_workers)
        for place, found in apart.items():
            ids[place] = found
        return ids

    def _chosen(self, allowed_special: Specials, disallowed_special: Specials) -> tuple[set[str], set[str]]:
        """The tokens to cut out of a text, added ones with them, and those to refuse."""
        if not allowed_special and disallowed_special in ("all", ()):
            return self._usual if disallowed_special else (self._usual[0], set())
        allowed = self._choose(allowed_special)
        return allowed | self.added_tokens.keys(), self._choose(disallowed_special) - allowed

    def _choose(self, specials: Specials) -> set[str]:
        """Special tokens given by name; an unknown one is an error."""
        if isinstance(specials, str):
            if specials != "all":
                raise ConfigError(f"special tokens are given as a set of texts or 'all', not as {specials!r}")
            return set(self.special_tokens)
        for special in specials:
            if special not in self.special_tokens:
                known = did_you_mean(special, self.special_tokens)
                raise ConfigError(f"there is no special token {special!r}, {known}")
        return set(specials)

    def _whole(self, text: str) -> str:
        """A text in which special and added tokens can be found."""
        if not isinstance(text, str):
            raise TextError(f"the tokenizer takes text (str), not {type(text).__name__}")
        return utf8(text)[0] if self._in_halves else text

    def _to_cut_out(self, text: str, wanted: set[str], forbidden: set[str]) -> list[str]:
        """Those of the wanted tokens that are in a text; a forbidden one is an error."""
        present = self._cut_out.all_in(text) if wanted or forbidden else []
        found = next((special for special in present if special in forbidden), None)
        if found is not None:
            raise TextError(
                f"the text contains the special token {found!r}; pass allowed_special={{{found!r}}} "
                "to make it that token, or disallowed_special=() to take it as plain text"
            )
        return [each for each in present if each in wanted]

    # Ids to text

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, special tokens as their text; broken UTF-8 becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of some ids."""
        return self._engine.decode_bytes(ids)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id; of a special token, its text."""
        return self._engine.token_bytes(token)

    def stream(self) -> TextStream:
        """Return a decoder for ids that arrive one at a time."""
        return self._engine.stream()

    def offsets(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return where each id begins and ends in `decode(ids)`, in characters; see `offsets.py`.

        That is the text given to `encode`, unless the vocabulary brings text to a normal form.
        """
        return self._engine.offsets(ids)

    # Conversations

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = False,
        chat_template: str | None = None,
        allow_special_in_content: bool = False,
        **variables: Any,
    ) -> Chat:
        """Return a conversation as text, ids, and the mask of the tokens to learn.

        The template is the tokenizer's own, a default one where it has none, or `chat_template`. A message
        that spells a special token is refused, unless that is allowed. See `chat/chat.py`.
        """
        from hornbook.tokenizer.chat import render

        return render(
            self,
            messages,
            add_generation_prompt=add_generation_prompt,
            chat_template=chat_template,
            allow_special_in_content=allow_special_in_content,
            **variables,
        )

    # Surgery

    def extend(self, tokens: Sequence[str] = (), special_tokens: Sequence[str] = ()) -> Tokenizer:
        """Return a tokenizer with new tokens after the present ids; a text without them keeps its ids.

        `tokens` are cut out of any text, also inside a word; `special_tokens` are refused in plain text.
        """
        from hornbook.tokenizer.surgery import extend

        return Tokenizer(ByteLevel(extend(self.vocabulary, tokens, special_tokens)), self.settings)

    def restrict(
        self,
        ids: Iterable[int] | None = None,
        *,
        texts: Iterable[str] | None = None,
        vocab_size: int | None = None,
    ) -> tuple[Tokenizer, Int32s]:
        """Return a tokenizer with some ids alone, and the new id of each old one, -1 for those dropped.

        Give the `ids` to keep, or `texts`, whose most frequent tokens are kept, at most `vocab_size` in all.
        Bytes, special and added tokens always stay; see `surgery.restrict` for what else does.
        """
        from hornbook.tokenizer.surgery import most_used, restrict

        if ids is None and texts is not None:
            ids = most_used(self, texts, vocab_size)
        elif ids is None or texts is not None or vocab_size is not None:
            raise ConfigError("restrict takes either ids=, or texts= with or without vocab_size=")
        smaller, places = restrict(self.vocabulary, ids)
        return Tokenizer(ByteLevel(smaller), self.settings), places

    def merge(self, other: Tokenizer) -> Tokenizer:
        """Return a tokenizer with the tokens of another one after the present ids; see `surgery.merge`."""
        from hornbook.tokenizer.surgery import merge

        return Tokenizer(ByteLevel(merge(self.vocabulary, other.vocabulary)), self.settings)

    # What it is

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens and merges of a byte-level BPE; other kinds of vocabulary have none to show."""
        if isinstance(self._engine, ByteLevel):
            return self._engine.vocabulary
        raise ConfigError("this vocabulary is not a byte-level BPE and has no table of merges")

    @property
    def vocab_size(self) -> int:
        """The number of ids, special and unused ones included: one more than the largest."""
        return self._engine.vocab_size

    @property
    def pattern(self) -> str:
        """The name of the published pattern that cuts text into words, or the expression."""
        return self._engine.pattern

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a text: <|endoftext|>, or else the end that its files name; None if neither."""
        end = END_OF_TEXT if END_OF_TEXT in self.special_tokens else self.settings.eos_token
        return None if end is None else self.special_tokens.get(end)

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pairs that are merged, in the order of their ranks."""
        tokens, vocabulary = self.vocabulary.tokens, self.vocabulary
        pairs = zip(vocabulary.left.tolist(), vocabulary.right.tolist(), strict=True)
        return [(tokens[left], tokens[right]) for left, right in pairs]

    @property
    def n_merges(self) -> int:
        """The number of pairs that are merged."""
        return len(self.vocabulary.ranks)

    @functools.cached_property
    def byte_lengths(self) -> Int32s:
        """How many bytes of text each id stands for, 0 for special and unused ones; int32 [vocab_size]."""
        lengths = self._engine.byte_lengths()
        lengths.flags.writeable = False
        return lengths

    def __repr__(self) -> str:
        special = list(self.special_tokens)
        return f"Tokenizer(vocab_size={self.vocab_size}, pattern={self.pattern!r}, special_tokens={special})"


class _Finder:
    """Finds which of some texts occur in another one, quickly where none does."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = list(texts)
        self._prefix = os.path.commonprefix(self._texts)  # noqa: RUF071, letter by letter is what is meant.

    def all_in(self, text: str) -> list[str]:
        """Those of the texts that occur in a text, overlapping ones too."""
        if self._prefix[:1] not in text or self._prefix not in text:  # One character is found much faster.
            return []
        return [each for each in self._texts if each in text]


def n_threads(threads: int | None) -> int:
    """How many threads to use: as many as given, or one for each processor."""
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise ConfigError(f"threads={threads!r} must be 1 or more, or None for one for each processor")
    if threads is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return threads or os.cpu_count() or 1


def _check_special(special_tokens: Sequence[str]) -> None:
    """Refuse special tokens that text could be taken for, or that occur twice."""
    if not isinstance(special_tokens, Sequence) or isinstance(special_tokens, str):
        raise ConfigError(
            f"special_tokens must be a list of texts, in the order of their ids; not {special_tokens!r}"
        )
    for special in special_tokens:
        if not special or special in BYTES or utf8(special)[0] != special:
            reason = "it is empty, a surrogate, or a letter of GPT-2's byte alphabet"
            raise ConfigError(f"{special!r} cannot be a special token: {reason}")
        if list(special_tokens).count(special) > 1:
            raise ConfigError(f"the special token {special!r} is given twice")
