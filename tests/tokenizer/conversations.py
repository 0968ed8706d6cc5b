"""Chat templates in the styles of published models, each with what it must give, written out by hand.

A `Style` has the Jinja source, and a function that builds the same text piece by piece in plain Python and
says of each piece whether the assistant says it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from hornbook.tokenizer.chat.templates import CHATML

Messages = list[dict[str, str]]
Pieces = list[tuple[str, bool]]

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "[INST]", "[/INST]", "</s>", "<|user|>", "<|system|>", "<|assistant|>",
    "<start_of_turn>", "<end_of_turn>",
)  # fmt: skip
BEGIN = END = "<|endoftext|>"


@dataclass(frozen=True)
class Style:
    """A template and what it must give."""

    name: str
    source: str
    pieces: Callable[[Messages, bool], Pieces]


def chatml(messages: Messages, prompt: bool) -> Pieces:
    pieces: Pieces = []
    for message in messages:
        said = message["role"] == "assistant"
        pieces += [(f"<|im_start|>{message['role']}\n", False)]
        pieces += [(message["content"] + "<|im_end|>", said), ("\n", False)]
    return pieces + [("<|im_start|>assistant\n", False)] * prompt


PLAIN_CHATML = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""

HEADERS = """\
{{- bos_token }}
{%- set ns = namespace(heading='<|start_header_id|>') %}
{%- for message in messages %}
    {%- set heading = ns.heading + message['role'] + '<|end_header_id|>\\n\\n' %}
    {{- heading + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- ns.heading ~ 'assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""


def headers(messages: Messages, prompt: bool) -> Pieces:
    pieces: Pieces = [(BEGIN, False)]
    for message in messages:
        pieces += [(f"<|start_header_id|>{message['role']}<|end_header_id|>\n\n", False)]
        pieces += [(message["content"].strip() + "<|eot_id|>", message["role"] == "assistant")]
    return pieces + [("<|start_header_id|>assistant<|end_header_id|>\n\n", False)] * prompt


INSTRUCTIONS = """\
{%- set offset = 1 if messages[0]['role'] == 'system' else 0 %}
{{- bos_token }}
{%- for message in messages[offset:] %}
    {%- if message['role'] == 'user' %}
        {%- set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
        {%- set before = system if offset and loop.first %}
        {{- '[INST] ' ~ before ~ message['content'] | trim ~ ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] | trim + '</s>' }}
    {%- endif %}
{%- endfor %}"""


def instructions(messages: Messages, prompt: bool) -> Pieces:
    before, rest = "", messages
    if messages[0]["role"] == "system":
        before, rest = f"<<SYS>>\n{messages[0]['content']}\n<</SYS>>\n\n", messages[1:]
    pieces: Pieces = [(BEGIN, False)]
    for index, message in enumerate(rest):
        if message["role"] == "user":
            first = before if index == 0 else ""
            pieces += [(f"[INST] {first}{message['content'].strip()} [/INST]", False)]
        else:
            pieces += [(" ", False), (message["content"].strip() + "</s>", True)]
    return pieces


THINKING = """\
{%- set ns = namespace(last_question=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{% set ns.last_question = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role != 'assistant' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- else %}
        {%- set thought, content = '', message.content %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last_question and (loop.last or thought) %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def thinking(messages: Messages, prompt: bool) -> Pieces:
    last_question = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=-1)
    pieces: Pieces = []
    for index, message in enumerate(messages):
        thought, content = "", message["content"]
        pieces += [(f"<|im_start|>{message['role']}\n", False)]
        if message["role"] == "assistant":
            if "</think>" in content:
                first, *_, last = content.split("</think>")
                thought = first.rstrip("\n").split("<think>")[-1].lstrip("\n")
                content = last.lstrip("\n")
            if index > last_question and (index == len(messages) - 1 or thought):
                thought = thought.strip("\n")
                content = f"<think>\n{thought}\n</think>\n\n" + content.lstrip("\n")
        pieces += [(content + "<|im_end|>", message["role"] == "assistant"), ("\n", False)]
    return pieces + [("<|im_start|>assistant\n", False)] * prompt


TAGS = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""


def tags(messages: Messages, prompt: bool) -> Pieces:
    pieces: Pieces = []
    for message in messages:
        pieces += [(f"<|{message['role']}|>\n", False)]
        pieces += [(message["content"] + END, message["role"] == "assistant"), ("\n", False)]
    return pieces + [("<|assistant|>\n", False)] * prompt


TURNS = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = '' -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else '') }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- else -%}
        {%- for item in message['content'] if item['type'] == 'text' -%}
            {{ item['text'] | trim }}
        {%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}"""


def turns(messages: Messages, prompt: bool) -> Pieces:
    before, rest = "", messages
    if messages[0]["role"] == "system":
        before, rest = messages[0]["content"] + "\n\n", messages[1:]
    pieces: Pieces = [(BEGIN, False)]
    for index, message in enumerate(rest):
        said = message["role"] == "assistant"
        pieces += [(f"<start_of_turn>{'model' if said else message['role']}\n", False)]
        pieces += [(before if index == 0 else "", False)]
        pieces += [(message["content"].strip() + "<end_of_turn>", said), ("\n", False)]
    return pieces + [("<start_of_turn>model\n", False)] * prompt


STYLES = [
    Style("default", CHATML, chatml),
    Style("chatml", PLAIN_CHATML, chatml),
    Style("headers", HEADERS, headers),
    Style("instructions", INSTRUCTIONS, instructions),
    Style("thinking", THINKING, thinking),
    Style("tags", TAGS, tags),
    Style("turns", TURNS, turns),
]

PIECES = [
    " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2028", "\x1c", "a", "the", " Yes", "é",
    "e\u0301", "\u0301", "中文", "😀", "👩\u200d💻", "1", ".", "<", ">", "[", "]", "user", "assistant",
    "model", "{{ x }}", "{% if %}",
    "<think>", "</think>", "\n</think>\n\n", "\U000f0000", "\U000f0001", "\x00", "\ufffd",
]  # fmt: skip
# Hypothesis also tries strings that it finds in this file.
plain_text = st.text(max_size=10).filter(lambda text: not any(token in text for token in SPECIAL))
contents = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | plain_text
odd_contents = contents | st.text(alphabet=["\ud83d", "\udc4d", "a", " "], max_size=6)


@st.composite
def conversations(draw: st.DrawFn, texts: st.SearchStrategy[str] = contents) -> Messages:
    """A conversation that alternates as all templates demand, with a system message or without."""
    turns = draw(st.lists(texts, min_size=1, max_size=6))
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(turns)]
    system = draw(st.none() | texts)
    return messages if system is None else [{"role": "system", "content": system}, *messages]
