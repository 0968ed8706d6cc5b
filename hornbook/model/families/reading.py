"""Reading another library's configuration so that nothing in it is passed over.

A `Reading` hands out the attributes of a `config.json` one by one and remembers which were asked for. What
nobody asked for, and is not known to leave the numbers of a model alone, is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbook.base.errors import ConfigError

HARMLESS = frozenset(
    {
        # What it is and where it comes from.
        "architectures", "model_type", "torch_dtype", "dtype", "transformers_version",
        "_name_or_path", "_commit_hash", "auto_map", "tokenizer_class", "task_specific_params",
        "finetuning_task", "problem_type", "id2label", "label2id", "num_labels",
        # How it is used, not what it computes.
        "use_cache", "return_dict", "output_hidden_states", "output_attentions", "torchscript",
        "gradient_checkpointing", "_attn_implementation", "attn_implementation", "use_bfloat16",
        "tf_legacy_loss", "chunk_size_feed_forward", "bos_token_id", "eos_token_id", "pad_token_id",
        "sep_token_id", "unk_token_id", "mask_token_id", "decoder_start_token_id", "max_length",
        "min_length", "do_sample", "early_stopping", "num_beams", "temperature", "top_k", "top_p",
        "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
        "suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id",
        "num_return_sequences", "bad_words_ids", "prefix",
        # How it starts before it learns, and how it is spread over machines.
        "initializer_range", "initializer_factor", "pretraining_tp",
    }
)  # fmt: skip
"""Attributes that do not change what a model computes."""

_MISSING = object()


class Reading:
    """The attributes of a `config.json`."""

    def __init__(self, attributes: Mapping[str, Any], origin: str) -> None:
        self._attributes = dict(attributes)
        self._origin = origin
        self._asked: set[str] = set()

    def take(self, name: str, default: Any = _MISSING) -> Any:
        """Return an attribute; one that is not there, or null, is its default, or an error without one."""
        self._asked.add(name)
        value = self._attributes.get(name)
        if value is not None:
            return value
        if default is _MISSING:
            raise ConfigError(f"{self._origin} lacks {name!r}, which a model of this family needs")
        return default

    def given(self, name: str, default: Any) -> Any:
        """Return an attribute of which null is a value; one that is not there is its default."""
        self._asked.add(name)
        return self._attributes.get(name, default)

    def choice(self, name: str, meanings: Mapping[Any, Any], default: Any = _MISSING) -> Any:
        """Return what the value of an attribute means; one without a meaning here is refused."""
        value = self.take(name, default)
        if value not in meanings:
            allowed = ", ".join(map(repr, meanings))
            raise self.refusal(name, value, f"known are {allowed}")
        return meanings[value]

    def expect(self, name: str, *allowed: Any) -> None:
        """Refuse an attribute whose value is not among these; one that is not there is taken as the first."""
        self._asked.add(name)
        value = self._attributes.get(name, allowed[0])
        if value not in allowed:
            raise self.refusal(name, value, "only " + " or ".join(map(repr, allowed)) + " can be honoured")

    def refusal(self, name: str, value: Any, why: str) -> ConfigError:
        """The error for an attribute that cannot be honoured."""
        return ConfigError(f"{self._origin}: {name} = {value!r} is refused, because {why}")

    def finish(self) -> None:
        """Refuse what was not asked for, unless it is harmless or null."""
        left = {
            name: value
            for name, value in self._attributes.items()
            if name not in self._asked and name not in HARMLESS and value is not None
        }
        if left:
            named = ", ".join(f"{name} = {value!r}" for name, value in sorted(left.items()))
            raise ConfigError(
                f"{self._origin} has attributes that are not understood here and could change what the model "
                f"computes: {named}; take those out that do not"
            )
