"""One line chart as SVG, on logarithmic axes: a figure against what it may grow with."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 44, 52
# Two that stay apart in print and for the colour-blind (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73")
# The last figure as a multiple of the first, between which a curve is called flat.
FLAT = (0.8, 1.25)
# How far the last step's exponent may be from that of the whole before a sentence names it.
BEND = 0.2
# With more, only the powers of ten between the ends are marked.
MOST_TICKS = 8
INK, GRID = "#333333", "#dddddd"


class Line(NamedTuple):
    """A line of the chart: its name, and points (x, y), both above 0."""

    name: str
    points: Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """A logarithmic axis: its ticks, of which the first and the last lie at `start` and `end` (pixels)."""

    ticks: Sequence[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = math.log(value / self.ticks[0]) / math.log(self.ticks[-1] / self.ticks[0])
        return self.start + share * (self.end - self.start)


def axis(values: Sequence[float], start: float, end: float) -> Axis:
    """From a 1, 2 or 5 of a decade below all values to one above; ValueError for a value not above 0."""
    if min(values) <= 0:
        raise ValueError("a logarithmic axis has no place for 0 or less")
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = [digit * 10.0**power for power in range(low, high + 1) for digit in (1, 2, 5)]
    first = max(step for step in steps if step <= min(values))
    last = min(step for step in steps if step >= max(values) and step > first)
    ticks = [step for step in steps if first <= step <= last]
    if len(ticks) > MOST_TICKS:
        ticks = [step for step in ticks if step in (first, last) or math.log10(step).is_integer()]
    return Axis(ticks, start, end)


def line_chart(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """The chart as an SVG document by itself; ValueError without a point, or for one not above 0."""
    if not any(line.points for line in lines):
        raise ValueError("a chart needs at least one point")
    across = axis([x for line in lines for x, _ in line.points], LEFT, WIDTH - RIGHT)
    up = axis([y for line in lines for _, y in line.points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 18, title, size=14),
        *_grid(across, up),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name, anchor="middle"),
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>",
    ]
    for number, line in enumerate(lines):
        parts += _drawn(line, COLOURS[number % len(COLOURS)], LEFT + 150 * number, across, up)
    return "\n".join([*parts, "</svg>", ""])


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = []
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(_text(x, HEIGHT - BOTTOM + 16, short(tick), anchor="middle"))
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(_text(LEFT - 6, y + 4, short(tick), anchor="end"))
    return parts


def _drawn(line: Line, colour: str, legend_x: float, across: Axis, up: Axis) -> list[str]:
    points = [(across.at(x), up.at(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points),
        f'<path d="M{legend_x} 34h18" stroke="{colour}" stroke-width="2"/>',
        _text(legend_x + 24, 38, line.name),
    ]


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def short(value: float) -> str:
    """A tick's label: whole numbers with commas, what is below 1 as it is."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent b of y = a * x**b that fits the points best (least squares of the logarithms).

    0: y does not depend on x; 1: proportional. ValueError with fewer than two different x.
    """
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / max(1, len(logs))
    mean_y = sum(y for _, y in logs) / max(1, len(logs))
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    if not spread:
        raise ValueError("a slope needs two different x")
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread


def shape(figure: str, cause: str, points: Sequence[tuple[float, float]]) -> str:
    """A sentence on how the figure grows with its cause, and on the last step where that differs.

    The points ascend; ValueError with fewer than two.
    """
    (first, low), (last, high) = points[0], points[-1]
    exponent, at_last = slope(points), slope(points[-2:])
    if FLAT[0] <= high / low <= FLAT[1]:
        words = "hardly depends on"
    elif high < low:
        words = "falls with"
    elif exponent < 0.9:
        words = "grows slower than"
    elif exponent <= 1.1:
        words = "is proportional to"
    else:
        words = "grows faster than"
    bend = ""
    if abs(at_last - exponent) > BEND:
        bend = f"; from {points[-2][0]:,.0f} to {last:,.0f} alone the exponent is {at_last:.2f}"
    return (
        f"{figure} {words} the {cause}: {high / low:.2f} times as much at {last / first:,.0f} times the "
        f"{cause} (exponent {exponent:.2f}{bend})."
    )
