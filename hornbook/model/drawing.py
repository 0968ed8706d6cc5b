"""The drawing: a model's parts from the token ids to the scores, each with its shapes, its size and its use.

    for part in parts(config):
        print(part.name, part.parameters, part.note)

Read off the model itself, built on the meta device. Every parameter is in the drawing once: what several
parts share belongs to the first of them, and what is known by no name here is drawn under the name it has in
the code. So the sizes add up to the number of parameters, for models that are still to come too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from hornbook.model.block import Block
from hornbook.model.config import StackConfig
from hornbook.model.count import mixtures, on_meta
from hornbook.model.encoders import Classifier, Encoder, MaskedLM
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.position import RelativeBias
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.model.stack import Stack

Side = Literal["", "encoder", "decoder"]


@dataclass(frozen=True)
class Part:
    """One line of a model's drawing."""

    name: str
    shape: str
    """Shapes of its matrices, of one layer where it stands in several: `q, k 64 x 64; out 64 x 128`."""
    parameters: int
    """Numbers it learns, over all layers it stands in, without those of a part above that it shares."""
    note: str
    """What it does."""
    repeat: int = 1
    """How many layers it stands in."""
    side: Side = ""
    """Which half of an encoder-decoder it is of; empty in a model of one stack."""


def parts(config: AnyConfig) -> list[Part]:
    """The model as a drawing, from its input to its output."""
    model = on_meta(config)
    drawing = _Drawing()
    if isinstance(config, Seq2SeqConfig):
        assert isinstance(model, Seq2SeqLM)
        drawing.stack(model.encoder, config.encoder, "encoder")
        drawing.stack(model.decoder, config.decoder, "decoder")
        drawing.head(model.decoder, "decoder")
    else:
        assert isinstance(model, Stack)
        drawing.stack(model, config)
        drawing.head(model)
    drawing.rest(model)
    return drawing.parts


class _Drawing:
    """Parts in their order, and the parameters that are in them already."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.drawn: set[nn.Parameter] = set()

    def add(self, name: str, alike: Sequence[nn.Module], note: str, side: Side = "") -> None:
        """Draw modules of one shape as one part."""
        fresh = {parameter for module in alike for parameter in module.parameters()} - self.drawn
        self.drawn |= fresh
        count = sum(parameter.numel() for parameter in fresh)
        self.parts.append(Part(name, _shape(alike[0]), count, note, len(alike), side))

    def stack(self, stack: Stack, config: StackConfig, side: Side = "") -> None:
        """Everything but the head."""
        self.add("embedding", [stack.embedding], self._picks(stack, side), side)
        if isinstance(stack, PermutationLM):
            self.add("query", [stack.query], "stands for every token that is asked for", side)
        if isinstance(stack.position_bias, RelativeBias):
            note = "adds to each score what it has learned of the distance"
            self.add("position bias", [stack.position_bias], note, side)
        groups = _alike(stack.layers, config)
        for i, blocks in enumerate(groups):
            self.blocks(blocks, "" if len(groups) == 1 else f" {i + 1} of {len(groups)}", stack, side)
        if not isinstance(stack.final_norm, nn.Identity):
            self.add("final norm", [stack.final_norm], "brings all numbers to one scale", side)

    def blocks(self, blocks: list[Block], which: str, stack: Stack, side: Side) -> None:
        """The parts of blocks of one kind, in the order in which they are run."""
        notes = {
            "stream_mix": "brings the embeddings back",
            "norm": "brings the input of both to one scale",
            "attention": _looks(blocks[0], both_ways=isinstance(stack, Encoder) and not stack.sees.causal),
            "cross_attention": "reads what the encoder made",
            "feed_forward": _thinks(blocks[0]),
        }
        found = {name: [getattr(block, name) for block in blocks] for name in notes}
        unknown = [name for name, _ in blocks[0].named_children() if name not in notes]
        found |= {name: [block.get_submodule(name) for block in blocks] for name in unknown}
        for name, alike in found.items():
            if alike[0] is not None and any(True for _ in alike[0].parameters()):
                # By the word that the part has in speech.
                spoken = {"feed_forward": "feed-forward"}.get(name, name.replace("_", " "))
                self.add(spoken + which, alike, notes.get(name, ""), side)

    def head(self, model: nn.Module, side: Side = "") -> None:
        """What makes scores of the last vectors."""
        if isinstance(model, MaskedLM | PermutationLM):
            self.add_if_any("transform", model.transform, "readies each vector for the head", side)
            self.add("head", [model.head], self._scores(model.head, "for every place"), side)
        elif isinstance(model, Classifier):
            self.add_if_any("pooler", model.pooler, "readies that vector for the head", side)
            whose = {"first": "the first token's vector", "last": "the last token's vector"}
            by = whose.get(model.pooling, "the mean of all vectors")
            number = model.head.out_features == 1
            what = "estimates a number" if number else f"scores {model.head.out_features} classes"
            self.add("head", [model.head], f"{what}, by {by}", side)
        elif isinstance(model, CausalLM):
            self.add("head", [model.head], self._scores(model.head, "that could come next"), side)

    def add_if_any(self, name: str, module: nn.Module, note: str, side: Side) -> None:
        """Draw a part that not every model has."""
        if not isinstance(module, nn.Identity):
            self.add(name, [module], note, side)

    def rest(self, model: nn.Module) -> None:
        """Whatever learns and is not drawn yet, each under its name in the code."""
        for name, child in model.named_children():
            if not set(child.parameters()) <= self.drawn:
                self.add(name.replace("_", " "), [child], "")
        for name, parameter in model.named_parameters():
            if parameter not in self.drawn:
                self.drawn.add(parameter)
                shape = " x ".join(map(str, parameter.shape))
                self.parts.append(Part(name.replace("_", " "), shape, parameter.numel(), ""))

    def _picks(self, stack: Stack, side: Side) -> str:
        """What an embedding does."""
        embedding = stack.embedding
        pickers = ["token id"]
        pickers += [] if embedding.positions is None else ["position"]
        pickers += [] if embedding.segments is None else ["segment"]
        waves = "; waves tell the positions" if embedding.sinusoidal else ""
        where = " of the encoder's table" if embedding.tokens.weight in self.drawn else ""
        return f"each {_listed(pickers)} picks its row{where}{waves}"

    def _scores(self, head: nn.Linear, which: str) -> str:
        """What a head over the vocabulary does."""
        if head.weight in self.drawn:
            return "scores every token, with the embedding's own matrix"
        return f"scores every token {which}"


def _alike(layers: Sequence[Block], config: StackConfig) -> list[list[Block]]:
    """Blocks sorted by kind, in the order in which the kinds come first."""
    kinds = [config.pattern[i % len(config.pattern)] for i in range(len(layers))]
    firsts = [i for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    return [
        [block for block, kind in zip(layers, kinds, strict=True) if kind == kinds[first]] for first in firsts
    ]


def _looks(block: Block, both_ways: bool) -> str:
    """What a block's attention does."""
    attention = block.attention.layer
    way = "at" if both_ways else "back at"
    if attention.sparse is not None:
        pattern = attention.sparse.kind.replace("_", "-")
        return f"looks {way} some of the text, in a {pattern} pattern"
    if attention.window is not None:
        if both_ways:
            return f"looks at {attention.window - 1:,} tokens on each side"
        return f"looks back at the last {attention.window:,} tokens"
    return "looks at all of the text" if both_ways else "looks back at the text so far"


def _thinks(block: Block) -> str:
    """What a block's feed-forward part does."""
    for mixture in mixtures(block):
        return f"thinks at each position, with {mixture.n_chosen} of {len(mixture.experts)} experts"
    return "thinks at each position"


def _shape(module: nn.Module) -> str:
    """The matrices of a module; the words of their names that say nothing are left out.

    Experts are alike, so that the first one's matrices are drawn for all.
    """
    labels: dict[str, list[str]] = {}
    silent = ("weight", "layer", "tokens")
    for path, parameter in module.named_parameters():
        if parameter.ndim == 2 and re.search(r"experts\.[1-9]", path) is None:
            words = path.replace("experts.0", "expert").split(".")
            label = " ".join(word for word in words if word not in silent)
            labels.setdefault(" x ".join(map(str, parameter.shape)), []).append(label)
    return "; ".join(f"{', '.join(own)} {shape}".strip() for shape, own in labels.items())


def _listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last
