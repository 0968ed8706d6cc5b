"""Which part of a rendered conversation the assistant says: spans of characters, proved or refused.

    spans = turns(script, script.text(), special=re.compile(r"<\\|im_end\\|>"))

A template with `{% generation %}` blocks says it itself. For any other, the conversation is rendered a few
times more, with marks in its messages (`marks.py`) and cut off before and after each assistant turn. Texts
are compared, never guessed: where they do not agree, a ConfigError asks for `{% generation %}`.

- A turn begins where the prompt for its generation ends, as the template writes that prompt for the
  messages before it; where the template writes none, or another one than the turn has, with the content.
- A turn ends with the special token after its content, white space between them included, if the
  template writes it also where the conversation stops there (else it belongs to the next turn); where there
  is none, with the content.

So what a template writes of its own within a turn, such as a tool call around its arguments or an empty
`<think>` block, belongs to the turn, and what it trims or cuts from the content is simply not there.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from hornbook.base.errors import ConfigError, HornbookError
from hornbook.tokenizer.chat.marks import NAMES, Found, Ink, Message, Place, borders, landmark, read, strings
from hornbook.tokenizer.chat.templates import ChatTemplate

Span = tuple[int, int]
Rendered = tuple[str | None, Found]
"""A text without its marks, and the marks; None where the template refuses the conversation."""
ASSISTANTS = ("assistant", "model")
"""The roles whose turns are learned."""


@dataclass(frozen=True)
class Script:
    """A conversation and the template that it is written by."""

    template: ChatTemplate
    messages: list[Message]
    add_generation_prompt: bool = False
    variables: dict[str, Any] = field(default_factory=dict)

    def text(self, brackets: tuple[str, str] = ("", "")) -> str:
        """Return the rendered text; `brackets` as for `ChatTemplate.render`."""
        values = {"messages": self.messages, "add_generation_prompt": self.add_generation_prompt}
        return self.template.render({**self.variables, **values}, brackets)

    def every_text(self) -> Iterator[str]:
        """All texts that may end in the rendered one."""
        yield self.template.source
        yield from (text for _, text in strings([*self.messages, self.variables]))


def turns(script: Script, text: str, special: re.Pattern[str]) -> list[Span]:
    """Return the spans of the assistant's turns in `text`, which is `script.text()`, in ascending order.

    `special` matches the special tokens. A ConfigError says which turn cannot be traced.
    """
    if script.template.has_generation:
        return _by_generation(script, text)
    spans = _Tracer(script, text, special).turns()
    return sorted(span for span in spans if span[0] < span[1])


def _by_generation(script: Script, text: str) -> list[Span]:
    """The spans of `{% generation %}` blocks, from a rendering with brackets around them."""
    # A filter such as trim may write a block apart from its brackets, or one may be nested in another.
    opening, closing = Ink([*script.every_text(), text]).free(2)
    spans: list[Span] = []
    plain = ""
    for index, part in enumerate(script.text((opening, closing)).split(opening)):
        said, *rest = part.split(closing) if index else ("", part)
        if len(rest) != 1:
            raise ConfigError("the chat template nests or cuts its {% generation %} blocks; keep them apart")
        spans.append((len(plain), len(plain) + len(said)))
        plain += said + rest[0]
    if plain != text:
        raise ConfigError("the chat template changes what its {% generation %} blocks wrote; write them last")
    return [span for span in spans if span[0] < span[1]]


class _Tracer:
    """Traces the turns of one conversation through a template without `{% generation %}`."""

    def __init__(self, script: Script, text: str, special: re.Pattern[str]) -> None:
        self._script = script
        self._text = text
        self._special = special
        self._ink = Ink([*script.every_text(), text])
        words = {word.strip() for word in script.template.constants}
        cutting = sorted((word for word in words if re.search(r"\W", word) and word[1:]), key=len)
        self._words = re.compile("|".join(map(re.escape, reversed(cutting))) or "(?!)")

    def turns(self) -> Iterator[Span]:
        """The span of each assistant turn; empty for one that is not written."""
        spoken = [i for i, message in enumerate(self._script.messages) if message["role"] in ASSISTANTS]
        for index in spoken:
            mine = [(at, place) for at, place in self._found if place.message == index]
            yield self._traced(index, mine) if mine else self._by_neighbours(index)

    # Marks

    @functools.cached_property
    def _places(self) -> list[Place]:
        """As many places as the template takes marks at without writing anything else."""
        options = [self._options(index) for index in range(len(self._script.messages))]
        best = [place for kinds in options for place in kinds[0]]
        if self._rendered_alike(best) is not None:
            return best
        # It looks at some of them. Find which, message by message.
        accepted: list[Place] = []
        for kinds in options:
            accepted += next((kind for kind in kinds if kind and self._rendered_alike(kind) is not None), [])
        return accepted if self._rendered_alike(accepted) is not None else []

    def _options(self, index: int) -> list[list[Place]]:
        """Sets of places to mark in a message, the most telling one first."""
        message = self._script.messages[index]
        texts = list(strings(message, without=NAMES))
        if message["role"] not in ASSISTANTS:
            return [landmark(index, *texts[-1], self._words) if texts else []]
        every = [place for path, text in texts for place in borders(index, path, text, self._words)]
        # White space between a cut and the end may be trimmed from its left, which a mark before it prevents.
        kinds = [every, [self._outermost(place) for place in every]]
        contents = [[place for place in kind if place.path[0] == "content"] for kind in kinds]
        return [*kinds, *contents, [place for place in contents[0] if place.begins or place.ends]]

    def _outermost(self, place: Place) -> Place:
        """The place with the white space at its edge of the string inside."""
        if place.ends:
            return replace(place, position=len(self._source(place)))
        return replace(place, position=0) if place.begins else place

    def _rendered_alike(self, places: Sequence[Place]) -> Found | None:
        """Where the marks at these places appear, if the text without them is the same as ever."""
        plain, found = self._render(places)
        return found if plain == self._text else None

    def _render(
        self, places: Sequence[Place], stop: int | None = None, prompt: bool | None = None
    ) -> Rendered:
        """Render the messages before `stop` with marks at the places that are in them."""
        messages = self._script.messages[:stop]
        near = [place for place in places if place.message < len(messages)]
        if stop is not None:  # The last few are enough to find one's place, and a long conversation has many.
            near = [place for place in near if place.message > stop - 4] or near
        marked, signs = self._ink.mark(messages, near)
        return self._rendered(marked, signs, prompt)

    def _rendered(
        self, messages: list[Message], signs: Mapping[str, Place], prompt: bool | None = None
    ) -> Rendered:
        prompt = self._script.add_generation_prompt if prompt is None else prompt
        try:
            text = replace(self._script, messages=messages, add_generation_prompt=prompt).text()
        except HornbookError:
            return None, []
        return read(text, signs)

    @functools.cached_property
    def _found(self) -> Found:
        """The marks of the whole conversation."""
        return self._rendered_alike(self._places) or []

    @functools.cached_property
    def _position(self) -> dict[Place, int]:
        """Where in the text the mark of each place is, if it is there once."""
        return _once(self._found)

    def _all_marked(self, index: int) -> bool:
        """Whether no text of a message can be written without a mark."""
        marked = {place.path for place in self._places if place.message == index}
        return all(path in marked for path, _ in strings(self._script.messages[index], without=NAMES))

    # One turn

    def _traced(self, index: int, mine: Found) -> Span:
        """The span of a turn with marks in it."""
        between = self._found[self._found.index(mine[0]) : self._found.index(mine[-1]) + 1]
        if between != mine or len(_once(mine)) < len(mine):
            self._refuse(index, "writes its parts more than once, or mixed with another message")
        return self._start(index, *mine[0]), self._end(index, *mine[-1])

    def _start(self, index: int, at: int, first: Place) -> int:
        """Where a turn begins, given its first mark."""
        opening = self._opening(index)
        others = [other for other, place in self._found if place.message != index]
        if opening is not None and opening <= at and not any(opening <= other < at for other in others):
            return opening
        if first.path[0] == "content" and self._all_marked(index):
            if first.begins:
                return at - self._white_space_kept(index, first, backwards=True)
            if not self._goes_on(at, first, backwards=True):
                return at
        self._refuse(index, "writes no generation prompt that it begins with")

    def _end(self, index: int, at: int, last: Place) -> int:
        """Where a turn ends, given its last mark."""
        closing = self._after(last, index)
        cut = not last.ends and self._goes_on(at, last, backwards=False)
        if cut or last.path[0] != "content" or not self._all_marked(index):
            length = self._to_special(closing or "")
            if closing is None or length is None or not self._text.startswith(closing[:length], at):
                self._refuse(index, "does not close it as it would at the end of a conversation")
            return at + length
        follows = re.compile(rf"\s*(?:{self._special.pattern})").match(self._text, at)
        if follows and closing is None:
            self._refuse(index, "refuses a conversation that ends there")
        if follows and closing is not None and closing.startswith(follows.group()):
            return follows.end()
        return at + self._white_space_kept(index, last, backwards=False) if last.ends else at

    def _by_neighbours(self, index: int) -> Span:
        """The span of a turn without marks: between the generation prompt and where the template stops."""
        opening, closing = self._opening(index), self._aligned(*self._render(self._places, index + 1, False))
        if opening is not None and closing is not None and opening <= closing:
            length = self._to_special(self._text[opening:closing])
            if length is not None:
                return opening, opening + length
        messages = self._script.messages
        without, _ = self._rendered(messages[:index] + messages[index + 1 :], {})
        if without == self._text:
            return 0, 0
        self._refuse(index, "does not show its text")

    # Comparing

    def _opening(self, index: int) -> int | None:
        """Where the generation prompt before a turn ends, if the template writes one and the turn has it."""
        without, _ = self._render(self._places, index, prompt=False)
        text, found = self._render(self._places, index, prompt=True)
        if text is None or without is None or len(text) <= len(without) or not text.startswith(without):
            return None
        return self._aligned(text, found)

    def _aligned(self, text: str | None, found: Found) -> int | None:
        """Where a shorter conversation ends in ours, if it agrees with ours from its last mark on."""
        if text is None:
            return None
        known = [(at, self._position[place]) for place, at in _once(found).items() if place in self._position]
        theirs, ours = max(known, default=(0, 0))
        rest = text[theirs:]
        return ours + len(rest) if self._text.startswith(rest, ours) else None

    def _after(self, last: Place, index: int) -> str | None:
        """What the template writes after a mark where the conversation stops with its turn."""
        text, found = self._render(self._places, index + 1, prompt=False)
        at = _once(found).get(last)
        return None if text is None or at is None or found[-1][1] != last else text[at:]

    def _to_special(self, text: str) -> int | None:
        """The length of a text up to its last special token, if only white space comes after that."""
        end = max((match.end() for match in self._special.finditer(text)), default=None)
        return end if end is not None and not text[end:].strip() else None

    def _goes_on(self, at: int, place: Place, backwards: bool) -> bool:
        """Whether the text beyond a mark may be what stands there in the message, though without a mark."""
        source = self._source(place)
        if backwards:
            return source[: place.position].rstrip()[-1:] == self._text[:at].rstrip()[-1:]
        return source[place.position :].lstrip()[:1] == self._text[at:].lstrip()[:1]

    def _white_space_kept(self, index: int, place: Place, backwards: bool) -> int:
        """How many characters of white space at the edge of a content the template keeps.

        A mark outside the white space keeps it from being trimmed, so the text grows by what is trimmed.
        """
        source = self._source(place)
        room = place.position if backwards else len(source) - place.position
        step = -1 if backwards else 1
        if room == 0:
            return 0
        untrimmed, _ = self._render([place, place.moved(step * room)])
        kept = -1 if untrimmed is None else room - (len(untrimmed) - len(self._text))
        if not 0 <= kept <= room or self._rendered_alike([place, place.moved(step * kept)]) is None:
            self._refuse(index, "does something to the white space around its content")
        return kept

    def _source(self, place: Place) -> str:
        """The string of a message that a place is in."""
        value: Any = self._script.messages[place.message]
        for key in place.path:
            value = value[key]
        assert isinstance(value, str)
        return value

    def _refuse(self, index: int, why: str) -> NoReturn:
        raise ConfigError(
            f"the tokens to learn of message {index} cannot be told: the chat template {why}; put "
            "{% generation %} ... {% endgeneration %} into the template around what the assistant says"
        )


def _once(found: Found) -> dict[Place, int]:
    """Where each place is that was found exactly once."""
    times = Counter(place for _, place in found)
    return {place: at for at, place in found if times[place] == 1}
