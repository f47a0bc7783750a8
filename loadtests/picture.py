"""Bars as SVG, written by hand: a panel for each measure, a bar in it for each way. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

# Grey and two colours that hold on a light page and on a dark one.
COLOURS = ("#8c8c8c", "#c98a2b", "#2a8fbd")
INK = "#7a7a7a"
WIDTH, LABELS, VALUES = 760, 210, 110
BAR, GAP, TITLE, BETWEEN = 18, 5, 24, 16


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure: its title with the unit, and for each way the value, or None where there is none."""

    title: str
    values: Sequence[float | None]


def bars(title: str, ways: Sequence[str], panels: Sequence[Panel]) -> str:
    """The picture. Each panel has a scale of its own, from 0 to its largest value."""
    height = BETWEEN + sum(_height(panel) for panel in panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f"<title>{escape(title)}</title>",
    ]
    top = BETWEEN
    for panel in panels:
        parts += _panel(panel, ways, top)
        top += _height(panel)
    return "\n".join([*parts, "</svg>", ""])


def _height(panel: Panel) -> int:
    return TITLE + len(panel.values) * (BAR + GAP) + BETWEEN


def _panel(panel: Panel, ways: Sequence[str], top: int) -> list[str]:
    room = WIDTH - LABELS - VALUES
    largest = max((value for value in panel.values if value is not None), default=0.0) or 1.0
    parts = [f'<text x="0" y="{top + 12}" font-weight="bold">{escape(panel.title)}</text>']
    for index, (way, value) in enumerate(zip(ways, panel.values, strict=True)):
        y = top + TITLE + index * (BAR + GAP)
        width = (value or 0.0) / largest * room
        colour = COLOURS[index % len(COLOURS)]
        text = "none" if value is None else number(value)
        parts += [
            f'<text x="{LABELS - 10}" y="{y + 13}" text-anchor="end">{escape(way)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LABELS + width + 8:.1f}" y="{y + 13}">{text}</text>',
        ]
    return parts


def number(value: float) -> str:
    """Three significant digits, and no more decimals than that needs."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
