"""A conversation with a base model: one text that both sides write.

    session = Session(model, tokenizer)
    for piece in session.reply("def main("):
        ...

A base model only continues text, so a session has no roles and no template: what the person types is
put behind what stands there, and the model goes on. Commands and the screen belong to the command line.
"""

from __future__ import annotations

from collections.abc import Iterator

from hornbook.generate.decode import Context, extend
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.text import DEFAULT_SAMPLING, decoded, end_of_text, sampling_generator, start_of_text
from hornbook.model.models import CausalLM
from hornbook.tokenizer import Tokenizer


class Session:
    """The running text, and the model's memory of it."""

    def __init__(
        self,
        model: CausalLM,
        tokenizer: Tokenizer,
        *,
        sampling: SamplingConfig = DEFAULT_SAMPLING,
        max_new_tokens: int = 200,
        seed: int = 0,
    ) -> None:
        self.sampling = sampling
        self.max_new_tokens = max_new_tokens
        self._model = model
        self._tokenizer = tokenizer
        self._generator = sampling_generator(seed)
        self.reset()

    @property
    def text(self) -> str:
        """Everything written so far, by both sides."""
        return "".join(self._pieces)

    def reset(self) -> None:
        """Forget the text. The random stream goes on, so that the same words may get another reply."""
        self._pieces: list[str] = []
        self._context = Context(self._model)
        self._context.add(start_of_text(self._tokenizer))

    def reply(self, text: str) -> Iterator[str]:
        """Add some text and yield the model's continuation in pieces, at most `max_new_tokens` of tokens.

        An empty text lets the model go on. A reply that is broken off counts as far as it was yielded.
        """
        tokens = extend(
            self._context,
            self._tokenizer.encode(text, disallowed_special=()),
            sampling=self.sampling,
            max_new_tokens=self.max_new_tokens,
            stop=end_of_text(self._tokenizer),
            generator=self._generator,
        )
        self._pieces.append(text)
        return self._kept(decoded(self._tokenizer, tokens))

    def _kept(self, pieces: Iterator[str]) -> Iterator[str]:
        for piece in pieces:
            self._pieces.append(piece)
            yield piece
