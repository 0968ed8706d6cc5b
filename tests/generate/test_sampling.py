"""Choosing a token: the fast way equals the plain loops, keeps its promises at the edges, draws fairly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from hornbook.base.config import parse
from hornbook.base.errors import ConfigError, HornbookError
from hornbook.generate import reference
from hornbook.generate.sampling import SamplingConfig, choose, probabilities

# Steps of a quarter make equal scores common, which is where rankings go wrong.
scores_of_a_row = st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=1, max_size=12)
samplings = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 0.1, 0.8, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 14),
    top_p=st.none() | st.floats(0.01, 1.0),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def row(scores: list[float]) -> torch.Tensor:
    return torch.tensor([scores])


def no_sum_lies_at(scores: list[float], config: SamplingConfig) -> bool:
    """Whether no running sum is so near to top_p that rounding decides who is in the nucleus."""
    if config.top_p is None:
        return True
    everything = config.model_copy(update={"top_p": None})
    sums = torch.tensor(sorted(reference.probabilities(scores, everything), reverse=True)).double().cumsum(0)
    return bool((sums - config.top_p).abs().min() > 1e-6)


@given(scores_of_a_row, samplings)
def test_probabilities_are_the_reference(scores: list[float], config: SamplingConfig) -> None:
    assume(no_sum_lies_at(scores, config))
    fast = probabilities(row(scores), config)[0]
    wanted = torch.tensor(reference.probabilities(scores, config), dtype=torch.float64)
    assert torch.equal(fast > 0, wanted > 0), "different tokens may be drawn"
    torch.testing.assert_close(fast, wanted, atol=1e-12, rtol=1e-12)
    assert fast.sum().item() == pytest.approx(1.0)


@given(scores_of_a_row, samplings, st.integers(0, 2**32))
def test_choose_is_the_reference(scores: list[float], config: SamplingConfig, seed: int) -> None:
    assume(no_sum_lies_at(scores, config))
    number = torch.rand(1, generator=generator(seed), dtype=torch.float64).item()
    wanted = reference.draw(reference.probabilities(scores, config), number)
    assert choose(row(scores), config, generator(seed)).tolist() == [wanted]


def test_a_batch_is_its_rows() -> None:
    logits = torch.randn(5, 40, generator=generator(1))
    config = SamplingConfig(temperature=0.7, top_k=20, top_p=0.9)
    rows = torch.cat([probabilities(logits[i : i + 1], config) for i in range(5)])
    assert torch.equal(probabilities(logits, config), rows)
    stream = generator(2)
    one_by_one = [int(choose(logits[i : i + 1], config, stream)) for i in range(5)]
    assert choose(logits, config, generator(2)).tolist() == one_by_one


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    scores = [math.log(share) for share in (0.1, 0.4, 0.2, 0.3)]
    kept = {
        p: probabilities(row(scores), SamplingConfig(temperature=1.0, top_p=p))[0] for p in (0.1, 0.5, 0.95)
    }
    assert kept[0.1].nonzero().flatten().tolist() == [1]
    torch.testing.assert_close(kept[0.5], torch.tensor([0, 4 / 7, 0, 3 / 7]).double(), atol=1e-6, rtol=0)
    assert (kept[0.95] > 0).all()


def test_a_sum_that_reaches_top_p_exactly_is_enough() -> None:
    assert probabilities(row([0.0] * 4), SamplingConfig(top_p=0.5)).tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_top_p_is_measured_on_what_top_k_left() -> None:
    """0.4 and 0.3 of the whole are 4/7 and 3/7 of the best two: 0.55 is then reached by the first."""
    scores = [math.log(share) for share in (0.1, 0.4, 0.2, 0.3)]
    config = SamplingConfig(temperature=1.0, top_k=2, top_p=0.55)
    assert probabilities(row(scores), config)[0].nonzero().flatten().tolist() == [1]


def test_temperature_comes_first() -> None:
    """Hot, the four tokens are nearly even, so that more of them are needed to reach top_p."""
    scores = row([3.0, 2.0, 1.0, 0.0])
    kept = [
        int((probabilities(scores, SamplingConfig(temperature=t, top_p=0.6)) > 0).sum())
        for t in (0.1, 1, 100)
    ]
    assert kept == [1, 1, 3]


def test_equal_scores_rank_by_id() -> None:
    scores = row([1.0, 2.0, 2.0, 2.0, 1.0])
    assert choose(scores, SamplingConfig(temperature=0.0), generator()).tolist() == [1]
    kept = probabilities(scores, SamplingConfig(top_k=2))[0]
    assert kept.tolist() == [0.0, 0.5, 0.5, 0.0, 0.0]


def test_greedy_takes_no_number() -> None:
    stream = generator()
    choose(torch.randn(3, 9, generator=generator()), SamplingConfig(temperature=0.0, top_k=3), stream)
    assert torch.equal(stream.get_state(), generator().get_state())


@pytest.mark.parametrize("temperature", [5e-324, 1e-6, 1.0, 1e6, 1e300])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_no_temperature_makes_numbers_that_are_none(temperature: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[500.0, -500.0, 0.0, -math.inf]], dtype=dtype)
    for extra in ({}, {"top_k": 2}, {"top_p": 1e-9}, {"top_k": 3, "top_p": 1.0}):
        config = SamplingConfig(temperature=temperature, **extra)
        shares = probabilities(logits, config)
        assert shares.isfinite().all()
        assert shares.sum().item() == pytest.approx(1.0)
        assert shares[0, 3] == 0
        assert choose(logits, config, generator()).item() < 3


def test_a_single_possible_token_is_always_drawn() -> None:
    logits = torch.full((200, 7), -math.inf)
    logits[:, 4] = -3.0
    assert (choose(logits, SamplingConfig(), generator()) == 4).all()


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53], ids=["smallest", "largest"])
def test_no_draw_takes_an_impossible_token(number: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the smallest and the largest number below 1, with impossible tokens at both ends."""
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype, **_: torch.full(shape, number, dtype=dtype))
    logits = torch.randn(1, 1000, generator=generator(7))
    logits[:, :3] = logits[:, -3:] = -math.inf
    expected = 3 if number == 0 else 996
    assert choose(logits, SamplingConfig(temperature=1.0), generator()).tolist() == [expected]


@pytest.mark.parametrize("scores", [[math.nan, 1.0], [-math.inf, -math.inf], [math.inf, 0.0]])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_refused(scores: list[float], temperature: float) -> None:
    with pytest.raises(HornbookError, match=r"(nan|inf), not a number.*earlier checkpoint"):
        choose(torch.tensor([[0.0, 1.0], scores]), SamplingConfig(temperature=temperature), generator())


def test_draws_come_as_often_as_their_probability() -> None:
    """Pearson's chi-square; with its 9 degrees of freedom 40 is passed less than once in 100 000 tries."""
    logits = torch.randn(1, 12, generator=generator(3))
    config = SamplingConfig(temperature=1.3, top_k=10)
    expected = 20_000 * probabilities(logits, config)[0]
    drawn = choose(logits.expand(20_000, -1), config, generator(4))
    counts = drawn.bincount(minlength=12)
    possible = expected > 0
    assert int(possible.sum()) == 10
    assert counts[~possible].sum() == 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum().item()
    assert chi_square < 40


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"temperature": -0.5}, "temperature: -0.5 is below 0; use 0 for the most probable token"),
        ({"top_k": 0}, "top_k: 0 leaves no token to choose; use 1 or more"),
        ({"top_p": 0.0}, "top_p: 0.0 is no share; use a number above 0 and up to 1"),
        ({"top_p": 1.5}, "top_p: 1.5 is no share"),
        ({"temprature": 1.0}, "did you mean 'temperature'?"),
        ({"temperature": "warm"}, "temperature"),
    ],
)
def test_mistakes_say_what_to_type(numbers: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(SamplingConfig, numbers)
    assert words in str(caught.value)
