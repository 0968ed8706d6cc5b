"""The drawing: every parameter in it once, and words that fit the shape."""

from __future__ import annotations

import pytest
import torch
from model.every_config import EVERY, LOCAL
from model.small_encoders import CLASSIFIERS, MASKED
from model.small_models import CONFIGS
from model.small_permutations import PERMUTATIONS
from model.small_seq2seq import SEQ2SEQ
from torch import nn

from hornbook.model import drawing
from hornbook.model.count import count_parameters, on_meta
from hornbook.model.drawing import Part, parts
from hornbook.model.models import CausalLM
from hornbook.model.shape_config import AnyConfig
from hornbook.recipes.shapes import resolve


def named(config: AnyConfig) -> dict[str, Part]:
    """The parts of a model by side and name."""
    return {f"{part.side} {part.name}".strip(): part for part in parts(config)}


@pytest.mark.parametrize("config", list(EVERY.values()), ids=list(EVERY))
def test_the_drawing_has_every_parameter_once(config: AnyConfig) -> None:
    drawn = parts(config)
    assert sum(part.parameters for part in drawn) == count_parameters(on_meta(config))
    assert all(part.note for part in drawn), "every part of today's shapes has words of its own"


def test_matrices_of_one_shape_are_drawn_under_one_head() -> None:
    """Width 64 of size 1 has one head, so that all four attention matrices are square."""
    attention, feed_forward = parts(resolve("quickstart", ["size=1"]).model)[1:3]
    assert attention.shape == "q, k, v, out 64 x 64"
    assert feed_forward.shape == "up, gate 192 x 64; down 64 x 192"


def test_experts_are_drawn_once() -> None:
    drawn = named(CONFIGS["experts, one shared"])["feed-forward 1 of 2"]
    assert drawn.shape == (
        "router 3 x 16; expert up, shared up, shared gate 12 x 16; expert down, shared down 16 x 12; "
        "shared_gate 1 x 16"
    )
    assert drawn.note == "thinks at each position, with 1 of 3 experts"


def test_what_a_decoder_looks_at() -> None:
    def notes(name: str) -> list[str]:
        return [part.note for part in parts(CONFIGS[name]) if part.name.startswith("attention")]

    assert notes("rotary") == ["looks back at the text so far"]
    assert notes("local and global") == ["looks back at the last 4 tokens", "looks back at the text so far"]
    assert notes("strided") == ["looks back at some of the text, in a strided pattern"]


def test_layers_of_one_kind_stand_together() -> None:
    """Three layers of a pattern of two: the first kind stands in two of them."""
    drawn = named(CONFIGS["local and global"])
    assert drawn["attention 1 of 2"].repeat == 2 and drawn["attention 2 of 2"].repeat == 1
    local, other = CONFIGS["local and global"].pattern
    twice = CONFIGS["local and global"].model_copy(update={"pattern": (local, local, other), "n_layers": 6})
    assert named(twice)["attention 1 of 2"].repeat == 4


def test_a_tied_head_has_nothing_of_its_own_but_its_bias() -> None:
    tied = named(CONFIGS["learned positions"])["head"]
    assert (tied.parameters, tied.note) == (0, "scores every token, with the embedding's own matrix")
    assert named(MASKED["as published"])["head"].parameters == 31


def test_an_encoder_in_its_own_words() -> None:
    drawn = named(MASKED["as published"])
    assert drawn["embedding"].note == "each token id, position and segment picks its row"
    assert drawn["attention"].note == "looks at all of the text"
    assert named(LOCAL)["attention 1 of 2"].note == "looks at 3 tokens on each side"
    assert drawn["transform"].note == "readies each vector for the head"
    assert named(MASKED["untied, no transform"])["head"].note == "scores every token for every place"
    assert "final norm" not in drawn and "transform" not in named(MASKED["untied, no transform"])


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("as published", "scores 3 classes, by the first token's vector"),
        ("rotary, mean", "scores 2 classes, by the mean of all vectors"),
        ("last", "estimates a number, by the last token's vector"),
    ],
)
def test_a_classifier_in_its_own_words(name: str, note: str) -> None:
    assert named(CLASSIFIERS[name])["head"].note == note


def test_a_causal_classifier_looks_back() -> None:
    assert named(CLASSIFIERS["causal, last"])["attention"].note == "looks back at the text so far"


def test_both_sides_of_an_encoder_decoder() -> None:
    drawn = named(SEQ2SEQ["as first published"])
    assert drawn["encoder attention"].note == "looks at all of the text"
    assert drawn["decoder attention"].note == "looks back at the text so far"
    assert drawn["decoder cross attention"].note == "reads what the encoder made"
    shared = drawn["decoder embedding"]
    assert shared.parameters == 0
    assert shared.note == "each token id picks its row of the encoder's table; waves tell the positions"
    apart = named(SEQ2SEQ["two tables"])
    assert apart["encoder embedding"].parameters == 23 * 16 + 12 * 16 + 2 * 16
    assert apart["decoder embedding"].parameters == 31 * 16 + 12 * 16 + 2 * 16
    assert named(SEQ2SEQ["by distance"])["encoder position bias"].shape == "table 8 x 2"


def test_a_model_of_permutations_has_what_asks() -> None:
    assert named(PERMUTATIONS["as published"])["query"].parameters == 16


class Unheard(CausalLM):
    """A model with parts that the drawing has no words for."""

    def __init__(self) -> None:
        super().__init__(CONFIGS["rotary"])
        self.second_head = nn.Linear(16, 3)
        self.temperature = nn.Parameter(torch.ones(2))
        self.layers[0].add_module("side_door", nn.Linear(16, 2))
        self.layers[1].add_module("side_door", nn.Linear(16, 2))


def test_parts_without_words_are_drawn_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "on_meta", lambda config: Unheard())
    drawn = named(CONFIGS["rotary"])
    assert drawn["second head"].parameters == 51 and drawn["temperature"].parameters == 2
    assert drawn["side door"].repeat == 2 and drawn["side door"].shape == "2 x 16"
    assert sum(part.parameters for part in drawn.values()) == count_parameters(Unheard())
