"""Rules for tensors: which of theirs make which of ours, and the way back.

A rule names tensors of both sides by patterns such as `blocks.{layer}.attention.layer.q.{end}`, where a name
in braces stands for a number, or for `weight` or `bias`. What stands for it is read off our names, so a rule
applies as often as the model has such tensors. Layouts are undone on the way in and redone on the way out,
so that the core has one layout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.base.errors import ConfigError

Change = Callable[[Sequence[Tensor]], Sequence[Tensor]]
Tensors = Mapping[str, Tensor]
BLOCK = "blocks.{layer}."
"""What begins the names of a block's tensors."""
MOST_NAMED = 5
"""So many names of tensors are listed in an error."""


def _as_they_are(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    return tensors


@dataclass(frozen=True)
class Rule:
    """Some tensors of ours, some of theirs, and the change of layout between them."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    to_ours: Change = _as_they_are
    to_theirs: Change = _as_they_are
    copies: tuple[str, ...] = ()
    """Whole names under which their files may have the one tensor of theirs once more, or instead."""

    def instances(self, names: Iterable[str]) -> Iterator[tuple[list[str], list[str]]]:
        """The names of both sides, for each of our names that the first pattern fits."""
        pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\w+)", re.escape(self.ours[0])))
        for name in names:
            if found := pattern.fullmatch(name):
                values = found.groupdict()
                yield (
                    [each.format(**values) for each in self.ours],
                    [each.format(**values) for each in self.theirs],
                )


def same(ours: str, theirs: str, *copies: str) -> Rule:
    """A tensor under another name."""
    return Rule((ours,), (theirs,), copies=copies)


def in_each_block(layer: str, names: Mapping[str, str], block: str = BLOCK) -> list[Rule]:
    """Parts of a block under other names, with their weights and biases; `layer` begins all of theirs."""
    return [same(f"{block}{ours}.{{end}}", f"{layer}{theirs}.{{end}}") for ours, theirs in names.items()]


def after_rows(ours: str, theirs: str, n_rows: int) -> Rule:
    """A matrix that begins with rows there which no model ever reads; they are written as zeros."""

    def cut(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensor[n_rows:].contiguous() for tensor in tensors]

    def filled(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [torch.cat((tensor.new_zeros(n_rows, tensor.size(1)), tensor)) for tensor in tensors]

    return Rule((ours,), (theirs,), cut, filled)


def transposed(ours: str, theirs: str) -> Rule:
    """A matrix that they keep as [in, out]; a bias is the same."""
    return Rule((ours,), (theirs,), _transpose, _transpose)


def _transpose(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    return [tensor.t().contiguous() for tensor in tensors]


def joined(ours: Sequence[str], theirs: str, is_transposed: bool = False) -> Rule:
    """Matrices that they keep as one, the rows of the first on top; all are equally tall."""

    def split(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        whole = _transpose(tensors)[0] if is_transposed else tensors[0]
        return [part.contiguous() for part in whole.chunk(len(ours))]

    def join(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        whole = [torch.cat(list(tensors))]
        return _transpose(whole) if is_transposed else whole

    return Rule(tuple(ours), (theirs,), split, join)


def joined_by_head(ours: Sequence[str], theirs: str, head_dim: int) -> Rule:
    """Matrices that they keep as one, head by head: the rows of each matrix for the first head, then on."""

    def split(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        by_head = tensors[0].unflatten(0, (-1, len(ours), head_dim))
        return [part.flatten(0, 1).contiguous() for part in by_head.unbind(1)]

    def join(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        by_head = [tensor.unflatten(0, (-1, head_dim)) for tensor in tensors]
        return [torch.stack(by_head, dim=1).flatten(0, 2)]

    return Rule(tuple(ours), (theirs,), split, join)


def rotary_in_turns(ours: str, theirs: str, head_dim: int, width: int) -> Rule:
    """Rows of queries or keys whose rotary pairs are neighbours there, and a half apart here.

    `width` rows of each head are turned, the first ones.
    """
    turned = torch.arange(width).unflatten(0, (-1, 2)).T.flatten()
    order = torch.cat((turned, torch.arange(width, head_dim)))

    def rearranged(order: Tensor) -> Change:
        return lambda tensors: [tensors[0].unflatten(0, (-1, head_dim))[:, order].flatten(0, 1)]

    return Rule((ours,), (theirs,), rearranged(order), rearranged(order.argsort()))


def to_ours(
    theirs: Mapping[str, Tensor], wanted: Tensors, rules: Iterable[Rule], ignored: str, origin: str
) -> dict[str, Tensor]:
    """Carry tensors over to the names and shapes of `wanted`.

    A tensor of ours that no rule makes is an error. So are those of theirs that are missing, left over,
    unless the regular expression `ignored` fits their names, or of another shape; these are all told at once.
    """
    made: dict[str, Tensor] = {}
    used: set[str] = set()
    missing: set[str] = set()
    misshapen: set[str] = set()
    rules = list(rules)
    steps = [(rule, *both) for rule in rules for both in rule.instances(sorted(wanted))]
    theirs = _named_from_outside(theirs, [name for _, _, foreign in steps for name in foreign], ignored)
    theirs = _once(theirs, rules, origin)
    for rule, own, foreign in steps:
        used.update(foreign)
        missing.update(name for name in foreign if name not in theirs)
        if missing.isdisjoint(foreign):
            results = _made(rule, [wanted[name] for name in own], [theirs[name] for name in foreign])
            if results:
                made.update(zip(own, results, strict=True))
                continue
            blank = rule.to_theirs([torch.zeros(()).expand(wanted[name].shape) for name in own])
            misshapen.update(
                f"{name} of shape {tuple(theirs[name].shape)} instead of {tuple(expected.shape)}"
                for name, expected in zip(foreign, blank, strict=True)
                if theirs[name].shape != expected.shape
            )
    if unmade := wanted.keys() - {name for _, own, _ in steps for name in own}:
        raise ConfigError(f"{origin}: no rule of its family makes {_listed(unmade)}")
    mistakes = [f"lacks tensors: {_listed(missing)}"] if missing else []
    if left := {name for name in theirs.keys() - used if not re.fullmatch(ignored, name)}:
        mistakes.append(f"has tensors that a model of this configuration does not: {_listed(left)}")
    if misshapen:
        mistakes.append(f"has {_listed(misshapen)}")
    if mistakes:
        raise ConfigError(f"{origin} {'; it '.join(mistakes)}")
    return made


def _made(rule: Rule, own: Sequence[Tensor], foreign: Sequence[Tensor]) -> Sequence[Tensor]:
    """What a rule makes of their tensors; nothing where it is not as large as ours."""
    try:
        results = rule.to_ours(foreign)
    except RuntimeError:  # They have not the dimensions that it cuts or turns.
        return []
    fit = all(each.shape == ours.shape for each, ours in zip(results, own, strict=True))
    return results if fit else []


def _named_from_outside(
    theirs: Mapping[str, Tensor], expected: Sequence[str], ignored: str
) -> Mapping[str, Tensor]:
    """The same tensors under the names they have in the whole model.

    Many published files were saved from what is inside the head, `transformer.` or `model.`, and no name in
    them begins with that.
    """
    outermost = Counter(name.partition(".")[0] + "." for name in expected)
    if not outermost or any(name.startswith(tuple(outermost)) for name in theirs):
        return theirs
    outer = outermost.most_common(1)[0][0]
    return {name if re.fullmatch(ignored, name) else outer + name: tensor for name, tensor in theirs.items()}


def _once(theirs: Mapping[str, Tensor], rules: Iterable[Rule], origin: str) -> Mapping[str, Tensor]:
    """The same tensors with one name for each, of those that rules know under several."""
    made = dict(theirs)
    for rule in rules:
        for name in rule.copies:
            if name in made:
                copy = made.pop(name)
                if not torch.equal(made.setdefault(rule.theirs[0], copy), copy):
                    raise ConfigError(
                        f"{origin}: {name} is another matrix than {rule.theirs[0]}, and a model of this "
                        "configuration has one for both"
                    )
    return made


def to_theirs(ours: Mapping[str, Tensor], rules: Iterable[Rule]) -> dict[str, Tensor]:
    """Carry our tensors over to their names."""
    made: dict[str, Tensor] = {}
    used: set[str] = set()
    for rule in rules:
        for own, foreign in rule.instances(sorted(ours)):
            made.update(zip(foreign, rule.to_theirs([ours[name] for name in own]), strict=True))
            used.update(own)
    if unused := ours.keys() - used:
        raise ConfigError(f"no rule of the family carries {_listed(unused)}")
    return made


def _listed(names: Iterable[str]) -> str:
    """Some names, and how many more."""
    ordered = sorted(names)
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    return ", ".join(ordered[:MOST_NAMED]) + more
