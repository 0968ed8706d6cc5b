"""Chat templates: Jinja in a sandbox, by the convention of Hugging Face.

    template = compile_template(CHATML)
    text = template.render({"messages": [{"role": "user", "content": "Hello"}]})

A template is a program that comes with a model, so it runs where it reaches nothing but the values it is
given: no files, no attributes of Python's own, no change of those values. Loops end, since a range has
100,000 numbers at most and there are no others; time and memory are bounded by that alone. Beside Jinja
itself a template has `raise_exception`, `strftime_now`, `tojson`, `break` and `continue`, and the block
`{% generation %}` around what the assistant says. This module knows neither tokens nor messages.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer.pretokenize import utf8

CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
"""The special tokens that `CHATML` writes."""

CHATML = """\
{% for message in messages %}
{% if message.tool_calls %}
{{ raise_exception("ChatML as it stands here has no tool calls; give a chat template that has") }}
{% endif %}
{% set content %}
{% if message.content is string %}
{{ message.content }}
{%- else %}
{% for part in message.content or [] %}
{% if part.type != "text" %}
{{ raise_exception("ChatML takes parts of the type 'text', not " ~ part.type) }}
{% endif %}
{{ part.text }}
{%- endfor %}
{% endif %}
{% endset %}
{{ "<|im_start|>" ~ message.role ~ "\\n" }}
{%- if message.role == "assistant" %}
{% generation %}
{{ content ~ "<|im_end|>" }}
{%- endgeneration %}
{% else %}
{{ content ~ "<|im_end|>" }}
{%- endif %}
{{ "\\n" }}
{%- endfor %}
{% if add_generation_prompt %}
{{ "<|im_start|>assistant\\n" }}
{%- endif %}
"""
"""The template of a tokenizer that brings none: each turn between two special tokens, nothing trimmed."""

_BRACKETS = "generation brackets"


@dataclass(frozen=True)
class ChatTemplate:
    """A compiled template, and what can be read off its source."""

    source: str
    variables: frozenset[str]
    """The names that the template expects to be given."""
    constants: frozenset[str]
    """The strings it writes, or looks for."""
    has_generation: bool
    """Whether it says by `{% generation %}` what the assistant says."""
    _compiled: jinja2.Template

    def render(self, values: Mapping[str, Any], brackets: tuple[str, str] = ("", "")) -> str:
        """Return the text; `brackets` are written before and after each `{% generation %}` block.

        A conversation that the template refuses by `raise_exception` is a TextError with its message;
        a template that fails is a ConfigError with the line.
        """
        try:
            return self._compiled.render({**values, _BRACKETS: brackets})
        except _Refused as error:
            raise TextError(f"the chat template refuses this conversation: {error}") from None
        except Exception as error:
            where, what = _line(error.__traceback__), type(error).__name__
            raise ConfigError(f"the chat template fails{where}: {what}: {error}") from None


@functools.lru_cache(maxsize=64)
def compile_template(source: str) -> ChatTemplate:
    """Compile a template, once for each source; a syntax error is a ConfigError with its line."""
    environment = _environment()
    source = utf8(source)[0]
    try:
        tree = environment.parse(source)
        compiled = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"line {error.lineno} of the chat template is wrong: {error.message}") from None
    except RecursionError:
        raise ConfigError("the chat template is nested too deeply") from None
    constants = {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    extensions = tree.find_all(nodes.ExtensionAttribute)
    return ChatTemplate(
        source=source,
        variables=frozenset(meta.find_undeclared_variables(tree)) - environment.globals.keys(),
        constants=frozenset(constants),
        has_generation=any(node.identifier == _Generation.identifier for node in extensions),
        _compiled=compiled,
    )


class _Refused(jinja2.TemplateError):
    """What `raise_exception` raises."""


class _Generation(Extension):
    """The block `{% generation %}` ... `{% endgeneration %}`: what is inside, between brackets."""

    tags = {"generation"}  # noqa: RUF012, the base class has it so.

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_enclose", [nodes.ContextReference()])
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _enclose(self, context: Context, caller: Callable[[], str]) -> str:
        before, after = context[_BRACKETS]
        return f"{before}{caller()}{after}"


@functools.cache
def _environment() -> ImmutableSandboxedEnvironment:
    """The sandbox, with what Hugging Face gives to templates."""
    extensions: list[str | type[Extension]] = [_Generation, "jinja2.ext.loopcontrols"]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _refuse(message: object) -> NoReturn:
    raise _Refused(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter would write HTML's special characters as escapes."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _line(trace: TracebackType | None) -> str:
    """The innermost line of the template that a traceback passes, for a message."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f" in line {line}"
