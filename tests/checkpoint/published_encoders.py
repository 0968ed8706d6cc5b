"""BERT and RoBERTa, each as the model that fills in masked tokens and as a classifier.

A case is a class of transformers and its configuration. Ids of padding are given, so that tests can keep them
out of texts: RoBERTa gives a token of that id no position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkpoint.published_first import made

SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}

Case = tuple[str, Callable[[], Any]]


def sized(config: str) -> Callable[..., Callable[[], Any]]:
    """A function that takes what differs from the sizes above."""
    return lambda **attributes: made(config, **SIZES | attributes)


def bert() -> dict[str, Case]:
    """BERT."""
    of = sized("BertConfig")
    masked, classes = "BertForMaskedLM", "BertForSequenceClassification"
    odd = {"hidden_act": "gelu_new", "layer_norm_eps": 1e-3, "type_vocab_size": 3, "num_attention_heads": 3}
    return {
        "bert": (masked, of()),
        "bert untied, odd": (masked, of(**odd, tie_word_embeddings=False)),
        "bert classes": (classes, of()),
        "bert classes, odd": (
            classes,
            of(**odd | {"hidden_act": "relu"}, num_labels=5, classifier_dropout=0.3),
        ),
        "bert one number": (classes, of(num_labels=1, type_vocab_size=1, pad_token_id=None)),
    }


def roberta() -> dict[str, Case]:
    """RoBERTa."""
    of = sized("RobertaConfig")
    masked, classes = "RobertaForMaskedLM", "RobertaForSequenceClassification"
    odd = {"layer_norm_eps": 1e-3, "pad_token_id": 3, "num_attention_heads": 3}
    return {
        "roberta": (masked, of(type_vocab_size=1, layer_norm_eps=1e-5)),
        # Its head has gelu whatever the layers have.
        "roberta untied, odd": (masked, of(**odd, tie_word_embeddings=False, hidden_act="relu")),
        "roberta classes": (
            classes,
            of(type_vocab_size=1, id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1}),
        ),
        "roberta classes, odd": (classes, of(**odd, num_labels=5, classifier_dropout=0.3)),
    }


ENCODER_CASES: dict[str, Case] = {**bert(), **roberta()}
"""By family and setting."""
