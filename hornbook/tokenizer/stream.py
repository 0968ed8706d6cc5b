"""Text from tokens that arrive one at a time, never half a character."""

from __future__ import annotations

import codecs
from typing import Protocol


class HasTokens(Protocol):
    """What a stream needs of a tokenizer."""

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of an id."""


class StreamDecoder:
    """Decodes ids as they come; all that was pushed and finished together is `decode` of all ids.

    >>> decoder = StreamDecoder(tokenizer)          # doctest: +SKIP
    >>> for token in generated:                     # doctest: +SKIP
    ...     print(decoder.push(token), end="")
    >>> print(decoder.finish())                     # doctest: +SKIP
    """

    def __init__(self, tokenizer: HasTokens) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """Take one id; return the characters that are complete now, often none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """Return what is left, a character cut short as U+FFFD, and begin anew."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest
