"""What the tests of text and sessions share: a small tokenizer, and models that use its vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from model.small_models import block, model_config, scrambled

from hornbook.generate.text import start_of_text
from hornbook.model.config import HeadConfig
from hornbook.model.models import CausalLM
from hornbook.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A tokenizer with a few merges, which leaves rare letters in single bytes."""
    return Tokenizer.train(["def main():\n    print('the main thing')\n"] * 5, vocab_size=275)


@pytest.fixture
def babbler(tokenizer: Tokenizer) -> CausalLM:
    """A model of random weights, with a context that a test can outgrow."""
    return scrambled(model_config(vocab_size=tokenizer.vocab_size, max_seq_len=24))


@pytest.fixture
def parrot(tokenizer: Tokenizer) -> Callable[[str], CausalLM]:
    """Make a model that, from the start of a document, greedily says one given text and ends.

    Its layers add nothing, its embedding is the identity and its head a table: after this token, that one.
    So no token may come twice in the text.
    """

    def make(text: str) -> CausalLM:
        start = start_of_text(tokenizer)
        ids = start + tokenizer.encode(text) + start
        assert len(set(ids)) == len(ids) - 1, "each token must be new for the table to know what follows"
        size = tokenizer.vocab_size
        config = model_config(
            block({"n_heads": 1, "position": None}),
            vocab_size=size,
            d_model=size,
            n_layers=1,
            final_norm=None,
            head=HeadConfig(tied=False),
        )
        model = CausalLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.embedding.tokens.weight.copy_(torch.eye(size))
            for token, following in pairwise(ids):
                model.head.weight[following, token] = 1.0
        return model.eval()

    return make
