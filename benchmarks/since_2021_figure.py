"""The figure of the road since 2021: one line a stage, a dot for each seed, the mean and its standard error.

A pure function from numbers to the text of an SVG file, with the scales and ticks of the run report. It reads
well on light and on dark paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import mean

from hornbook.recipes.report_chart import Scale, tick_label, ticks

WIDTH, LEFT, RIGHT, TOP, ROW = 860, 270, 90, 46, 26
STYLE = """
text { font: 13px Georgia, "Times New Roman", serif; fill: #26231e; }
.soft { fill: #736a5d; } .rule { stroke: #e2dccd; } .seed { fill: #2c6487; opacity: .45; }
.mean { fill: #a83f2d; } .bar { stroke: #a83f2d; stroke-width: 1.5; } .paper { fill: #fbf9f4; }
"""


def figure(stages: Sequence[tuple[str, Sequence[float], float]]) -> str:
    """Draw stages (title, bits per byte of each seed, standard error of the mean), from top to bottom."""
    marks = ticks(min(min(v) for _, v, _ in stages), max(max(v) for _, v, _ in stages))
    x = Scale(marks[0], marks[-1], LEFT, WIDTH - RIGHT)
    bottom = TOP + ROW * len(stages)
    parts = [f'<rect class="paper" width="{WIDTH}" height="{bottom + 40}"/>']
    parts.append(f'<text x="{LEFT}" y="24" class="soft">bits per byte of held-out text in equal time</text>')
    for mark in marks:
        parts.append(
            f'<line class="rule" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP - 8}" y2="{bottom}"/>'
        )
        label = tick_label(mark)
        parts.append(
            f'<text class="soft" text-anchor="middle" x="{x(mark):.1f}" y="{bottom + 20}">{label}</text>'
        )
    for number, stage in enumerate(stages):
        parts += _row(*stage, x, TOP + ROW * number + ROW / 2 - 4)
    size = f'width="{WIDTH}" height="{bottom + 40}" viewBox="0 0 {WIDTH} {bottom + 40}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n'
    return head + "\n".join(parts) + "\n</svg>\n"


def _row(title: str, values: Sequence[float], error: float, x: Scale, y: float) -> list[str]:
    """One stage: its title, its seeds, its mean with an error bar, and the mean in numbers."""
    middle = mean(values)
    parts = [f'<text text-anchor="end" x="{LEFT - 14}" y="{y + 4:.1f}">{escape(title)}</text>']
    parts += [f'<circle class="seed" cx="{x(value):.1f}" cy="{y:.1f}" r="3"/>' for value in values]
    if error == error:  # not a number where there is one seed of each
        low, high = x(middle - error), x(middle + error)
        parts.append(f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<circle class="mean" cx="{x(middle):.1f}" cy="{y:.1f}" r="4"/>')
    parts.append(f'<text class="soft" x="{WIDTH - RIGHT + 16}" y="{y + 4:.1f}">{middle:.3f}</text>')
    return parts
