"""Classes: how published models number and name them, and the classifier that a decoder family has beside it.

    FAMILIES = with_classifier(Family("llama", "LlamaForCausalLM", ...), "LlamaForSequenceClassification")

A decoder's classifier is its stack with a matrix over the last real token in place of the output matrix. So
all that the decoder's family reads, writes and renames holds for it, the output matrix aside. Which token is
the last real one, theirs sees by `pad_token_id`, and refuses several rows at once where there is none; here
a mask says it.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import ModelConfig, StackConfig
from hornbook.model.encoder_config import ClassifierConfig
from hornbook.model.families.family import Family
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, same


def with_classifier(
    decoder: Family[ModelConfig], architecture: str
) -> tuple[Family[ModelConfig], Family[ClassifierConfig]]:
    """A family of decoders and that of its classifiers, which their class `architecture` computes."""

    def read(theirs: Reading) -> ClassifierConfig:
        return ClassifierConfig(
            **_stack_of(decoder.read(theirs)), **read_classes(theirs), bias=False, causal=True, pooling="last"
        )

    def write(config: ClassifierConfig) -> dict[str, Any]:
        said = {**decoder.write(_decoder_of(config)), **written_classes(config)}
        # By default one token would not be learned, and would be no end of a text.
        return {**said, "pad_token_id": None}

    def rules(config: ClassifierConfig) -> list[Rule]:
        of_the_stack = [
            rule for rule in decoder.rules(_decoder_of(config)) if not rule.ours[0].startswith("head.")
        ]
        return [*of_the_stack, same("head.weight", "score.weight")]

    classifier = Family(
        decoder.model_type, architecture, read, write, rules, decoder.ignored, shape=ClassifierConfig
    )
    return decoder, classifier


def _stack_of(config: StackConfig) -> dict[str, Any]:
    """The fields of a model that its head does not change."""
    return {name: getattr(config, name) for name in StackConfig.model_fields}


def _decoder_of(config: ClassifierConfig) -> ModelConfig:
    return ModelConfig(**_stack_of(config))


def read_classes(theirs: Reading) -> dict[str, Any]:
    """How many classes there are, and their names; those that only number them are none."""
    names = {int(number): str(name) for number, name in theirs.take("id2label", {}).items()}
    n_classes = theirs.take("num_labels", len(names) or 2)
    if names and sorted(names) != list(range(n_classes)):
        raise theirs.refusal("id2label", names, f"the classes are numbered from 0 to {n_classes - 1}")
    in_order = [names[number] for number in sorted(names)]
    unnamed = not names or in_order == _numbered(n_classes)
    return {"n_classes": n_classes, "class_names": None if unnamed else in_order}


def written_classes(config: ClassifierConfig) -> dict[str, Any]:
    """The attributes that tell how many classes there are, and how they are called."""
    names = list(config.class_names or _numbered(config.n_classes))
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }


def _numbered(n_classes: int) -> list[str]:
    """What classes are called there that have no names."""
    return [f"LABEL_{number}" for number in range(n_classes)]
