"""A session is one growing text: what both sides write is what the model continues."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hornbook.base.errors import ConfigError
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.session import Session
from hornbook.generate.text import generate_text, stream_text
from hornbook.model.models import CausalLM
from hornbook.tokenizer import Tokenizer

GREEDY = SamplingConfig(temperature=0.0)
WARM = SamplingConfig(temperature=1.5)


def say(session: Session, text: str) -> str:
    return "".join(session.reply(text))


def test_the_first_reply_is_generated_text(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    """Longer than the context, so that the model's view is cut while it talks."""
    session = Session(babbler, tokenizer, sampling=WARM, max_new_tokens=50, seed=3)
    wanted = list(stream_text(babbler, tokenizer, "def", sampling=WARM, max_new_tokens=50, seed=3))
    assert list(session.reply("def")) == wanted
    assert session.text == "def" + "".join(wanted)


def test_a_reply_continues_all_that_was_written(
    parrot: Callable[[str], CausalLM], tokenizer: Tokenizer
) -> None:
    """The parrot says its text in two breaths, then goes on from what the person puts in its mouth."""
    session = Session(parrot("the main日"), tokenizer, sampling=GREEDY, max_new_tokens=1)
    assert say(session, "") == "the"
    session.max_new_tokens = 50
    assert say(session, "") == " main日"
    assert say(session, "\nthe") == " main日"
    assert session.text == "the main日\nthe main日"


def test_what_was_said_before_matters(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    session = Session(babbler, tokenizer, sampling=GREEDY, max_new_tokens=6)
    fresh = Session(babbler, tokenizer, sampling=GREEDY, max_new_tokens=6)
    say(session, "main")
    assert say(session, "def") != say(fresh, "def")


def test_reset_forgets_the_text_and_keeps_the_random_stream(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    greedy = Session(babbler, tokenizer, sampling=GREEDY, max_new_tokens=9)
    warm = Session(babbler, tokenizer, sampling=WARM, max_new_tokens=9)
    replies = {}
    for name, session in (("greedy", greedy), ("warm", warm)):
        first = say(session, "def")
        session.reset()
        assert session.text == ""
        replies[name] = (first, say(session, "def"))
    assert replies["greedy"][0] == replies["greedy"][1]
    assert replies["warm"][0] != replies["warm"][1]


def test_sessions_with_one_seed_are_one_conversation(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    sessions = [Session(babbler, tokenizer, sampling=WARM, max_new_tokens=7, seed=s) for s in (1, 1, 2)]
    texts = []
    for session in sessions:
        say(session, "def")
        say(session, "main")
        texts.append(session.text)
    assert texts[0] == texts[1] != texts[2]


def test_a_broken_off_reply_counts_as_far_as_it_came(
    parrot: Callable[[str], CausalLM], tokenizer: Tokenizer
) -> None:
    session = Session(parrot("the main日"), tokenizer, sampling=GREEDY)
    pieces = session.reply("")
    assert next(pieces) == "the"
    pieces.close()
    assert session.text == "the"
    assert say(session, "") == " main日"


def test_names_of_special_tokens_are_plain_text(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    session = Session(babbler, tokenizer, max_new_tokens=2)
    say(session, "<|endoftext|>")
    assert session.text.startswith("<|endoftext|>")


def test_a_mistake_leaves_the_session_as_it_was(babbler: CausalLM, tokenizer: Tokenizer) -> None:
    session = Session(babbler, tokenizer, sampling=GREEDY, max_new_tokens=0)
    with pytest.raises(ConfigError, match="max_new_tokens is 0"):
        session.reply("main")
    assert session.text == ""
    session.max_new_tokens = 5
    assert say(session, "def") == generate_text(babbler, tokenizer, "def", sampling=GREEDY, max_new_tokens=5)
