"""The kernels that are shown are those that are taken: every model is run, and asked for what it chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
import torch
from model.every_config import EVERY
from model.small_models import block, model_config, some_tokens

from hornbook.model.attend import Case, Kernel, choose_kernel
from hornbook.model.drawing import parts
from hornbook.model.encoders import Encoder
from hornbook.model.kernels import KernelUse, kernels_of
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shapes import AnyModel, build_model

CPU = torch.device("cpu")
N = 10

Taken = list[Kernel]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """What `attend` chooses, call by call."""
    kernels: Taken = []

    def choose(case: Case) -> Kernel:
        kernels.append(choose_kernel(case))
        return kernels[-1]

    monkeypatch.setattr("hornbook.model.attend.choose_kernel", choose)
    # So that a few tokens are many.
    monkeypatch.setattr("hornbook.model.attend.STRIP", 2)
    monkeypatch.setattr("hornbook.model.attend.ALONE_FROM", 4)
    return kernels


def learn(model: AnyModel) -> None:
    """Read two rows, of which each holds three documents."""
    tokens, documents = some_tokens(2, N, 23), torch.arange(N).expand(2, N) // 4
    model.train()
    if isinstance(model, Seq2SeqLM):
        open_mask = Mask(causal=False, documents=documents)
        model(tokens, tokens, source_mask=open_mask, mask=Mask(documents=documents))
    else:
        model.features(tokens, Mask(causal=causal(model), documents=documents))


def read_prompt(model: AnyModel) -> None:
    """Read one text, and let nothing be learned from it."""
    tokens = some_tokens(1, N, 23)
    model.eval()
    with torch.no_grad():
        if isinstance(model, Seq2SeqLM):
            model(tokens, tokens)
        else:
            model.features(tokens)


def causal(model: AnyModel) -> bool:
    """Whether a model of one stack sees what is before alone."""
    return bool(getattr(model, "sees", Mask()).causal)


def write(model: AnyModel) -> None:
    """Read one text but for its last token, and then that."""
    tokens = some_tokens(1, N, 23)
    model.eval()
    with torch.no_grad():
        if isinstance(model, Seq2SeqLM):
            memory, cache = model.encode(tokens), model.make_cache(1, N)
            model.decode(tokens[:, :-1], memory, cache=cache)
            model.decode(tokens[:, -1:], memory, cache=cache)
        else:
            assert isinstance(model, CausalLM)
            cache = model.make_cache(1, N)
            model(tokens[:, :-1], cache=cache)
            model(tokens[:, -1:], cache=cache)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_what_is_shown_is_taken(name: str, dtype: torch.dtype, taken: Taken) -> None:
    shown = kernels_of(EVERY[name], CPU, dtype, N)
    model = build_model(EVERY[name], seed=0)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        learn(model)
        assert Counter(taken) == counted((use.learning, use.repeat) for use in shown)
        taken.clear()
        read_prompt(model)
        assert Counter(taken) == counted((use.prompt, use.repeat) for use in shown)
        taken.clear()
        writers = [use for use in shown if use.next_token is not None]
        if writers:
            write(model)
            n_last = sum(use.repeat for use in writers)
            assert Counter(taken[-n_last:]) == counted((use.next_token, use.repeat) for use in writers)
    assert (not writers) == isinstance(model, Encoder)


def counted(uses: Iterable[tuple[Kernel | None, int]]) -> Counter[Kernel | None]:
    total: Counter[Kernel | None] = Counter()
    for kernel, repeat in uses:
        total[kernel] += repeat
    return total


def test_kinds_have_the_names_of_the_drawing() -> None:
    for name in ("local and global", "encoder-decoder, read now and then"):
        drawn = {
            (part.side, part.name): part.repeat for part in parts(EVERY[name]) if "attention" in part.name
        }
        shown = {(use.side, use.name): use.repeat for use in kernels_of(EVERY[name], CPU, torch.float32, N)}
        assert shown == drawn


def test_a_machine_that_is_not_there_is_asked_all_the_same() -> None:
    local, everywhere = block({"window": 64, "head_dim": 16}), block({"head_dim": 16, "softcap": 30.0})
    config = model_config(local, everywhere, max_seq_len=1024)
    gpu = torch.device("cuda")
    assert kernels_of(config, gpu, torch.bfloat16, 1024) == [
        KernelUse("attention 1 of 2", "fused, masked", "fused, masked", "fused, open", 1),
        KernelUse("attention 2 of 2", "products", "products", "products", 1),
    ]
    assert [use.learning for use in kernels_of(config, gpu, torch.bfloat16, 1024, compiled=True)] == [
        "flex"
    ] * 2
