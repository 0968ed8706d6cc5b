"""Conversations: the text, the ids and the tokens to learn, against hand-built ones and transformers."""

from __future__ import annotations

import functools
import itertools
import tempfile
import types
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer import conversations
from tokenizer.conversations import SPECIAL, STYLES, Messages, Style
from tokenizer.texts import python_source, stable

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.chat import CHATML_TOKENS, Chat
from hornbook.tokenizer.chat.learned import tokens_in
from hornbook.tokenizer.chat.marks import Ink
from hornbook.tokenizer.pretokenize import utf8

styles = pytest.mark.parametrize("style", STYLES, ids=[style.name for style in STYLES])
QUESTION = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Good day"}
LOOP = "{% for m in messages %}"
"""How the small templates of these tests begin."""


@functools.cache
def trained() -> Tokenizer:
    return Tokenizer.train(python_source(), 700, special_tokens=SPECIAL)


def told(template: str, *messages: dict[str, Any], **variables: Any) -> Chat:
    return trained().apply_chat_template(messages, chat_template=template, **variables)


def said(template: str, *messages: dict[str, Any], **variables: Any) -> list[str]:
    """What the assistant says, by its turns."""
    chat = told(template, *messages, **variables)
    return [chat.text[start:end] for start, end in chat.turns]


def check(chat: Chat, pieces: conversations.Pieces) -> None:
    """Compare a chat with pieces of text that are said by the assistant, or not."""
    assert chat.text == "".join(text for text, _ in pieces)
    assert chat.ids == trained().encode(chat.text, allowed_special="all")
    inside = b"".join(bytes([spoken]) * len(text.encode()) for text, spoken in pieces)
    sizes = [len(trained().token_bytes(token)) for token in chat.ids]
    ends = list(itertools.accumulate(sizes))
    # All bytes of a character are alike, so a token with a byte inside has a character inside.
    assert chat.learn == [any(inside[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
    assert "".join(chat.text[start:end] for start, end in chat.turns) == "".join(
        text for text, spoken in pieces if spoken
    )


# The text and what is learned of it, by hand


@styles
@given(messages=conversations.conversations(conversations.odd_contents), prompt=st.booleans())
def test_a_conversation_is_as_written_by_hand(style: Style, messages: Messages, prompt: bool) -> None:
    chat = told(style.source, *messages, add_generation_prompt=prompt)
    mended = [{"role": each["role"], "content": utf8(each["content"])[0]} for each in messages]
    check(chat, style.pieces(mended, prompt))


@styles
def test_exactly_the_turns_and_their_ends_are_learned(style: Style) -> None:
    messages = [QUESTION, ANSWER, {"role": "user", "content": "More"}, {"role": "assistant", "content": "No"}]
    chat = told(style.source, *messages, add_generation_prompt=True)
    text = trained().decode(token for token, learned in zip(chat.ids, chat.learn, strict=True) if learned)
    ends = {
        "default": "<|im_end|>",
        "chatml": "<|im_end|>",
        "headers": "<|eot_id|>",
        "instructions": "</s>",
        "thinking": "<|im_end|>",
        "tags": "<|endoftext|>",
        "turns": "<end_of_turn>",
    }
    end = ends[style.name]
    thought = "<think>\n\n</think>\n\n" if style.name == "thinking" else ""
    # A space that one of the templates writes before may be of the same token.
    assert text.replace(" ", "") == f"Goodday{end}{thought}No{end}"


def test_a_thought_that_the_template_cuts_is_not_there() -> None:
    first = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nGood day"}
    last = {"role": "assistant", "content": "<think>\nso\n</think>\n\nBye"}
    spoken = said(conversations.THINKING, QUESTION, first, QUESTION, last)
    assert spoken == ["Good day<|im_end|>", "<think>\nso\n</think>\n\nBye<|im_end|>"]
    without = said(conversations.THINKING, QUESTION, first, QUESTION, ANSWER, enable_thinking=False)
    # The prompt without thinking ends with an empty thought: there nothing of it is learned.
    assert without == ["Good day<|im_end|>", "Good day<|im_end|>"]


# transformers


@functools.cache
def peer() -> Any:
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        trained().save(folder)
        return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


@styles
@given(messages=conversations.conversations(), prompt=st.booleans())
def test_text_and_ids_are_those_of_transformers(style: Style, messages: Messages, prompt: bool) -> None:
    chat = told(style.source, *messages, add_generation_prompt=prompt)
    theirs = functools.partial(
        peer().apply_chat_template, messages, chat_template=style.source, add_generation_prompt=prompt
    )
    assert theirs(tokenize=False) == chat.text
    if stable(chat.text):
        assert theirs(tokenize=True)["input_ids"] == chat.ids


GENERATION = """\
{%- macro told(m) %}{{ m.content | trim }}{% endmacro %}
{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' }}
    {%- if m.role == 'assistant' %}
        {%- generation %}
            {{- told(m) }}{% if m.content | length > 3 %}{{ '<|im_end|>' }}{% endif %}
        {%- endgeneration %}
    {%- else %}{{ told(m) + '<|im_end|>' }}{% endif %}
{%- endfor %}"""


@given(conversations.conversations(conversations.contents.filter(str.isascii)))
def test_the_mask_of_generation_blocks_is_that_of_transformers(messages: Messages) -> None:
    # ASCII alone: of a last character that several tokens share, transformers takes the first token only.
    for source in (GENERATION, conversations.CHATML):
        chat = told(source, *messages)
        theirs = peer().apply_chat_template(
            messages, chat_template=source, return_dict=True, return_assistant_tokens_mask=True
        )
        assert theirs["assistant_masks"] == [int(learned) for learned in chat.learn]


def test_generation_blocks_may_stand_in_macros_but_not_be_changed_or_nested() -> None:
    block = "{% generation %}{{ m.content }}{% endgeneration %}"
    in_macro = f"{{% macro say(m) %}}{block}{{% endmacro %}}{LOOP}: {{{{ say(m) }}}}{{% endfor %}}"
    assert said(in_macro, ANSWER) == ["Good day"]
    changed = f"{LOOP}{{% set x %}}{block}{{% endset %}}{{{{ x | length }}}}{{% endfor %}}"
    with pytest.raises(ConfigError, match="changes what its"):
        said(changed, ANSWER)
    nested = f"{LOOP}{{% generation %}}a{block}{{% endgeneration %}}{{% endfor %}}"
    with pytest.raises(ConfigError, match="nests or cuts"):
        said(nested, ANSWER)


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages | tojson }}{{ messages | tojson(indent=2) }}",
        "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}|{{ tools is none }}|{{ documents }}",
        "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
        "{{ strftime_now('%Y') }}",
        "{% for m in messages %}\n  {% if true %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n",
        "{% for m in messages %}{{ m.thinking }}{{ m.reasoning_content }}{{ 'content' in m }}{% endfor %}",
        "{% set x = namespace(a=1) %}{{ x.a }}{{ dict(a=1)['a'] }}{{ range(3) | list }}",
    ],
)
def test_templates_see_what_transformers_gives_them(source: str) -> None:
    messages = [
        {"role": "user", "content": "<é> & 'x'"},
        {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [{"name": "f"}]},
    ]
    theirs = peer().apply_chat_template(messages, chat_template=source, tokenize=False)
    assert told(source, *messages).text == theirs


# Turns that take more care


def test_turns_that_no_special_token_ends() -> None:
    plain = LOOP + "{{ m.role }}: {{ m.content }}\n{% endfor %}"
    spaces = {"role": "assistant", "content": " \n yes \n "}
    assert said(plain, QUESTION, spaces, QUESTION, ANSWER) == [" \n yes \n ", "Good day"]
    assert said(plain.replace("m.content", "m.content | trim"), QUESTION, spaces, QUESTION) == ["yes"]
    assert said(plain.replace("m.content", "m.content.strip('\\n ')"), spaces) == ["yes"]
    assert said(plain.replace("m.content", "m.content.rstrip('\\n')"), spaces) == [" \n yes \n "]
    assert said(plain, {"role": "assistant", "content": " \n "}) == [" \n "]
    assert said(plain.replace("m.content", "m.content | trim"), {"role": "assistant", "content": "  "}) == []


def test_the_special_token_of_the_next_turn_is_not_the_end_of_this_one() -> None:
    tags = LOOP + "{{ '<|' + m.role + '|>\n' + m.content + '\n' }}{% endfor %}"
    assert said(tags, QUESTION, ANSWER, QUESTION, ANSWER) == ["Good day", "Good day"]
    at_last = tags.replace("{% endfor %}", "{% if loop.last %}</s>{% endif %}{% endfor %}")
    assert said(at_last, QUESTION, ANSWER, QUESTION, ANSWER) == ["Good day", "Good day\n</s>"]


def test_messages_may_be_reordered() -> None:
    backwards = "{% for m in messages | reverse %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    assert said(backwards, QUESTION, ANSWER, QUESTION, {**ANSWER, "content": "x"}) == ["x", "Good day"]


def test_what_cannot_be_proved_is_refused() -> None:
    twice = LOOP + "{{ m.role }}: {{ m.content }} {{ m.content }}{% endfor %}"
    with pytest.raises(ConfigError, match=r"message 1 .*writes its parts more than once.*\{% generation %\}"):
        said(twice, QUESTION, ANSWER)
    first_word = LOOP + "{{ m.role }}: {{ m.content.split()[0] }}{% endfor %}"
    with pytest.raises(ConfigError, match="message 1 cannot be told"):
        said(first_word, QUESTION, ANSWER)
    measured = LOOP + "{{ m.role }}: {{ m.content | length }}{% endfor %}"
    with pytest.raises(ConfigError, match="does not show its text"):
        said(measured, QUESTION, ANSWER)
    assert told(measured, QUESTION, ANSWER).text == "user: 2assistant: 8"


def test_a_template_that_looks_at_its_texts_is_followed_by_the_generation_prompt() -> None:
    looking = conversations.PLAIN_CHATML.replace("message['content']", "message['content'][:4]")
    assert said(looking, QUESTION, ANSWER, QUESTION, ANSWER) == ["Good<|im_end|>"] * 2
    empty = conversations.PLAIN_CHATML.replace("message['content']", "(message['content'] or 'nothing')")
    silent = {"role": "assistant", "content": ""}
    assert said(empty, QUESTION, silent, QUESTION, ANSWER) == ["nothing<|im_end|>", "Good day<|im_end|>"]


def test_white_space_that_is_all_that_a_cut_leaves() -> None:
    last = {"role": "assistant", "content": "\n</think>\n\n"}
    assert said(conversations.THINKING, QUESTION, last, QUESTION) == ["<|im_end|>"]


def test_a_message_that_is_not_written_is_not_learned() -> None:
    only_users = LOOP + "{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    assert said(only_users, QUESTION, ANSWER) == []
    assert not any(told(only_users, QUESTION, ANSWER).learn)


TOOLS = """\
{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' }}
    {%- if m.reasoning_content %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}
    {{- m.content }}
    {%- for call in m.tool_calls or [] %}
        {{- '\\n' if m.content or not loop.first else '' }}
        {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson + '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def test_tool_calls_and_reasoning_are_learned_as_the_template_writes_them() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "unit": 'k"m', "b": [2]}}}
    calls = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    thinks = {"role": "assistant", "content": "5", "reasoning_content": "2+3"}
    result = {"role": "tool", "content": "5"}
    written = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "unit": "k\\"m", "b": [2]}}\n</tool_call>'
    assert said(TOOLS, QUESTION, calls, result, thinks, QUESTION, {**calls, "content": "Well"}) == [
        f"{written}\n{written}<|im_end|>",
        "<think>\n2+3\n</think>\n\n5<|im_end|>",
        f"Well\n{written}\n{written}<|im_end|>",
    ]
    unprompted = TOOLS[: TOOLS.index("{%- if add_generation_prompt")]
    with pytest.raises(ConfigError, match="message 1 cannot be told"):
        said(unprompted, QUESTION, calls)
    choosy = TOOLS.replace("m.tool_calls or []", "m.tool_calls or [] if call.function.name == 'add'")
    assert said(choosy, QUESTION, calls, result) == [f"{written}\n{written}<|im_end|>"]


def test_parts_of_a_content() -> None:
    parts = [{"type": "text", "text": " Good "}, {"type": "image"}, {"type": "text", "text": "day"}]
    message = {"role": "assistant", "content": parts}
    assert said(conversations.TURNS, QUESTION, message) == ["Goodday<end_of_turn>"]
    assert said(conversations.CHATML, {**message, "content": parts[::2]}) == [" Good day<|im_end|>"]
    with pytest.raises(TextError, match="refuses this conversation: ChatML takes parts of the type 'text'"):
        said(conversations.CHATML, message)


def test_conversations_in_which_the_assistant_says_nothing() -> None:
    system = {"role": "system", "content": "Be brief."}
    for style in (STYLES[0], STYLES[1], STYLES[2]):
        assert not any(told(style.source, system).learn)
        chat = told(style.source, system, QUESTION, add_generation_prompt=True)
        assert chat.turns == []
        assert not any(chat.learn)
    assert said(conversations.PLAIN_CHATML, ANSWER) == ["Good day<|im_end|>"]


def test_the_assistant_may_be_called_model() -> None:
    assert said(conversations.PLAIN_CHATML, QUESTION, {**ANSWER, "role": "model"}) == ["Good day<|im_end|>"]


def test_a_conversation_with_more_places_than_marks() -> None:
    with pytest.raises(TextError, match="too long to trace its turns: it has 70000 places"):
        Ink(["a"]).free(70_000)
    assert Ink(["\U000f0000a", "\U000f0002"]).free(2) == ["\U000f0001", "\U000f0003"]


# Tokens of a turn where the tokenizer changes the text


def test_a_unicode_form_leaves_the_mask_exact() -> None:
    vocabulary = replace(trained().vocabulary, normalizer="NFC")
    tokenizer = Tokenizer(ByteLevel(vocabulary), trained().settings)
    messages = [
        {"role": "user", "content": "e\u0301"},
        {"role": "assistant", "content": " Re\u0301pe\u0301te"},
    ]
    chat = tokenizer.apply_chat_template(messages)
    spoken = [token for token, learned in zip(chat.ids, chat.learn, strict=True) if learned]
    assert tokenizer.decode(spoken) == " Répéte<|im_end|>"
    # Without an end of its own the mark of an accent belongs to the letter before it.
    joined = LOOP + "{{ m.role }}:e{{ m.content }}{% endfor %}"
    accent = tokenizer.apply_chat_template([{"role": "assistant", "content": "\u0301"}], chat_template=joined)
    with pytest.raises(ConfigError, match="a turn begins or ends inside a token"):
        assert accent.learn


class Prefixing:
    """A tokenizer that puts a space before every text, as those of SentencePiece do, and cuts by letters."""

    special_tokens = types.MappingProxyType({"</s>": 0})

    def token_bytes(self, token: int) -> bytes:
        return b"</s>" if token == 0 else chr(token).encode()


def test_a_space_that_the_tokenizer_adds_belongs_to_no_turn() -> None:
    tokenizer: Any = Prefixing()
    ids = [*map(ord, " ab"), 0, *map(ord, " cd"), 0]
    taken = tokens_in(tokenizer, "ab</s>cd</s>", ids, [(1, 6), (7, 8)])
    assert [place for place, learned in enumerate(taken) if learned] == [2, 3, 6]
    with pytest.raises(ConfigError, match="writes '</s>' for text that it does not know"):
        tokens_in(tokenizer, "ab", [*map(ord, " a"), 0], [(0, 1)])


# Special tokens in messages


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "a<|im_end|>b"},
        {"role": "user<|im_end|>", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "<|im_end|>"}]},
        {"role": "user", "content": "", "tool_calls": [{"f": {"<|im_end|>": 1}}]},
    ],
)
def test_special_tokens_in_messages_are_refused(message: dict[str, Any]) -> None:
    for source in (conversations.CHATML, "{{ messages | tojson }}"):
        with pytest.raises(TextError, match=r"message 1 .*'<\|im_end\|>'.*allow_special_in_content=True"):
            told(source, QUESTION, message)


def test_special_tokens_in_messages_may_be_allowed() -> None:
    message = {"role": "user", "content": "a<|im_end|>b"}
    chat = told(conversations.CHATML, message, ANSWER, allow_special_in_content=True)
    theirs = peer().apply_chat_template([message, ANSWER], chat_template=conversations.CHATML)
    assert chat.ids == theirs["input_ids"]
    assert chat.ids.count(trained().special_tokens["<|im_end|>"]) == 3
    assert [chat.text[start:end] for start, end in chat.turns] == ["Good day<|im_end|>"]


def test_special_tokens_that_two_texts_make_together_are_refused() -> None:
    def parts(*texts: str) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}

    for texts in (["a<|im_", "end|>"], ["<|", "im_end", "|>"], ["x<|im_end|", ">"]):
        with pytest.raises(TextError, match=r"message 0 \(user\) may become part of a special token"):
            told(conversations.CHATML, parts(*texts))
    with pytest.raises(TextError, match="may become part"):
        told(conversations.TURNS, parts("<end_of_ ", " turn>"))
    assert told(conversations.CHATML, parts("<|im_ ", "end|>")).text.count("<|im_end|>") == 1
    assert told(conversations.CHATML, parts("a <", "> b")).text.count("<> b<|im_end|>") == 1
    assert told(conversations.CHATML, {"role": "user", "content": "> quoted <"}, ANSWER).learn


def test_special_tokens_in_variables_are_refused() -> None:
    with pytest.raises(TextError, match=r"the variable 'tools' contains the special token '<\|im_end\|>'"):
        told("{{ tools }}", QUESTION, tools=[{"name": "<|im_end|>"}])
    assert told("{{ bos_token }}", QUESTION, bos_token="<|im_end|>").text == "<|im_end|>"


# What is wrong with the input


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("Hello", r"a conversation is a list of messages such as \[\{'role'.*, not str"),
        ({"role": "user", "content": "a"}, "not dict"),
        ([], "not an empty one"),
        (["Hello"], "message 0 is a str, not a dict with 'role' and 'content'"),
        ([QUESTION, {"content": "a"}], "message 1 needs a 'role' such as .*, not None"),
        ([{"role": 3, "content": "a"}], "message 0 needs a 'role' .*, not 3"),
        ([{"role": "user"}], r"message 0 \(user\) has no 'content'; give ''"),
        ([{"role": "user", "content": 3}], r"the content of message 0 \(user\) is a int; it must be text or"),
        ([{"role": "user", "content": ["a"]}], "part 0 has no 'type'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "part 0 is of the type 'text' and has no 'text'"),
        ([{"role": "user", "content": "a", "f": len}], "message 0 holds a builtin_function_or_method"),
        ([{"role": "user", "content": "a", "f": {1: 2}}], "message 0 has the key 1; keys are text"),
    ],
)
def test_what_is_no_conversation(messages: Any, message: str) -> None:
    with pytest.raises(TextError, match=message):
        trained().apply_chat_template(messages)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n{% for %}", "line 2 of the chat template is wrong: "),
        ("{{ messages[0].nothing.more }}", "fails in line 1: UndefinedError: "),
        ("\n\n{{ 'a' + 1 }}", "fails in line 3: TypeError: "),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails in line 1: RecursionError: "),
        ("{% for i in range(10**9) %}{% endfor %}", "OverflowError: Range too big"),
        ("{{ messages.__class__.__mro__ }}", "SecurityError: access to attribute '__class__'"),
        ("{{ raise_exception.__globals__['json'] }}", "SecurityError"),
        ("{{ ('{0.__class__.__mro__}' | format)(messages) }}", "TypeError"),
        ("{{ '{0.__class__.__mro__}'.format(messages) }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{{ messages[0].update(role='x') }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os.popen('true') }}", "SecurityError|UndefinedError"),
        ("{% include 'other' %}", "TypeError: no loader"),
    ],
)
def test_templates_that_fail(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        told(source, QUESTION)


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__ }}",
        "{{ ''.format.__globals__ }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ messages | attr('__class__') }}",
        "{{ [messages] | map(attribute='__class__') | join }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__self__ }}",
    ],
)
def test_templates_see_nothing_behind_their_values(source: str) -> None:
    assert told(source, QUESTION).text == ""


def test_a_template_may_refuse_a_conversation() -> None:
    with pytest.raises(TextError, match="refuses this conversation: Roles must alternate user/assistant"):
        told(conversations.TURNS, QUESTION, QUESTION)


def test_variables_reach_the_template_or_are_refused() -> None:
    assert told("{{ name }}", QUESTION, name=["é"]).text == "['é']"
    with pytest.raises(ConfigError, match="no variable 'nane' and would ignore it; did you mean 'name'"):
        told("{{ name }}", QUESTION, nane="x")
    with pytest.raises(ConfigError, match="no variable 'tokenize'"):
        told(conversations.CHATML, QUESTION, tokenize=True)
    with pytest.raises(TextError, match="tools holds a function"):
        told("{{ tools }}", QUESTION, tools=[check])
    with pytest.raises(ConfigError, match="'strftime_now' is given to every template"):
        told("{{ name }}", QUESTION, strftime_now=3)
    assert told("{{ name }}", QUESTION, tools=None).text == ""


def test_the_default_template_needs_its_special_tokens() -> None:
    bare = Tokenizer.train(["abc"], 257)
    with pytest.raises(
        ConfigError, match=r"tokenizer.extend\(special_tokens=\['<\|im_start\|>', '<\|im_end\|>'\]"
    ):
        bare.apply_chat_template([QUESTION])
    assert bare.apply_chat_template([QUESTION], chat_template="{{ messages[0].content }}").text == "Hi"
    able = Tokenizer.train(["abc"], 259, special_tokens=["<|endoftext|>", *CHATML_TOKENS])
    assert able.apply_chat_template([QUESTION]).text == "<|im_start|>user\nHi<|im_end|>\n"


def test_the_template_of_the_tokenizer_comes_before_the_default_one() -> None:
    settings = replace(trained().settings, chat_template="{{ messages | length }}")
    tokenizer = Tokenizer(trained()._engine, settings)
    assert tokenizer.apply_chat_template([QUESTION]).text == "1"
    assert tokenizer.apply_chat_template([QUESTION], chat_template="x").text == "x"


def test_templates_with_names() -> None:
    named = {"rag": "R", "tool_use": "T{{ tools | length }}"}
    several = Tokenizer(trained()._engine, replace(trained().settings, named_templates=named))
    assert several.apply_chat_template([QUESTION], chat_template="rag").text == "R"
    assert several.apply_chat_template([QUESTION], tools=[{"name": "f"}]).text == "T1"
    with pytest.raises(ConfigError, match="choose one: chat_template= 'rag', 'tool_use'"):
        several.apply_chat_template([QUESTION])


def test_a_conversation_is_taken_as_it_was() -> None:
    messages = [dict(QUESTION), dict(ANSWER)]
    chat = trained().apply_chat_template(messages, chat_template=conversations.PLAIN_CHATML)
    messages[1]["content"] = "changed"
    assert [chat.text[start:end] for start, end in chat.turns] == ["Good day<|im_end|>"]
    assert repr(chat).startswith("Chat(text='<|im_start|>user")
