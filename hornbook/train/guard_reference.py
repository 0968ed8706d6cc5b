"""The guard's rule to read: which steps of a run stand out from those before them.

The tests prove that `hornbook.train.guard` leaves out the same steps. Here every judgement is made anew from
the whole list of measurements; nothing is remembered, saved or rolled back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

NORMAL = 1.4826
"""A normal distribution's standard deviation in units of its median absolute deviation."""


def robust_z(value: float, before: Sequence[float], least: float) -> float:
    """How many standard deviations a value stands above the median of those before it.

    The deviation is estimated by the median of absolute deviations, so that a few wild values among those
    before change neither the middle nor the width. `least` is the smallest width that is believed.
    """
    middle = median(before)
    width = NORMAL * median(abs(x - middle) for x in before)
    return (value - middle) / max(width, least, 1e-12)


def left_out(
    losses: Sequence[float],
    grad_norms: Sequence[float],
    *,
    loss_z: float,
    grad_norm_z: float,
    window: int,
    patience: int,
) -> list[bool]:
    """Say of every step whether it is left out.

    A step stands out where its loss is more than `loss_z` deviations, or its gradient more than
    `grad_norm_z`, above the last `window` steps that were taken. After `patience` such steps in a row the
    next is taken, and the comparison begins anew.
    """
    taken: list[tuple[float, float]] = []
    in_a_row, said = 0, []
    for loss, norm in zip(losses, grad_norms, strict=True):
        finite = math.isfinite(loss) and math.isfinite(norm)
        recent = taken[-window:]
        comparable = finite and len(recent) >= window / 2
        out = not finite or (comparable and stands_out(loss, norm, recent, loss_z, grad_norm_z))
        if out and finite and in_a_row >= patience:
            out, taken = False, []
        in_a_row = in_a_row + 1 if out else 0
        if not out:
            taken.append((loss, norm))
        said.append(out)
    return said


def stands_out(
    loss: float, norm: float, recent: Sequence[tuple[float, float]], loss_z: float, grad_norm_z: float
) -> bool:
    """Whether a step is unlike the recent ones."""
    losses = [one for one, _ in recent]
    logs = [log_norm(other) for _, other in recent]
    return (
        robust_z(loss, losses, 0.01 * abs(median(losses))) > loss_z
        or robust_z(log_norm(norm), logs, 0.05) > grad_norm_z
    )


def log_norm(norm: float) -> float:
    """A gradient's length on the scale on which it scatters evenly."""
    return math.log(norm + 1e-12)
