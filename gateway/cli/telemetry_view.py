"""What clients said of their delivery, as lines for people."""

from collections.abc import Mapping
from typing import Any

from gateway.cli.nodes_view import whose_lines
from gateway.cli.terminal import printable, table

Members = Mapping[str, Any]


def telemetry_lines(answer: Members) -> list[str]:
    """The reports, when first events came, and why and with which versions clients fell back."""
    reports, fallbacks = _counts(answer.get("reports")), _counts(answer.get("fallbacks"))
    lines = [f"reports: {', '.join(f'{count} {name}' for name, count in reports) or 'none'}"]
    p50, p99 = (_milliseconds(answer.get(name)) for name in ("firstEventP50Ms", "firstEventP99Ms"))
    lines.append(f"first event after {p50} (median), {p99} (99th percentile)")
    lines.append(f"fallbacks: {', '.join(f'{count} {name}' for name, count in fallbacks) or 'none'}")
    rows: list[tuple[str, ...]] = [("CLIENT VERSION", "FALLBACKS")]
    versions = answer.get("fallbacksByVersion")
    for one in versions if isinstance(versions, list) else ():
        if isinstance(one, Mapping):
            rows.append((_text(one.get("clientVersion")), _text(one.get("fallbacks"))))
    return [*lines, *(table(rows) if len(rows) > 1 else ()), *whose_lines(answer)]


def _counts(given: object) -> list[tuple[str, str]]:
    return (
        [(_text(name), _text(count)) for name, count in given.items()] if isinstance(given, Mapping) else []
    )


def _milliseconds(value: object) -> str:
    return f"{value:.0f} ms" if isinstance(value, int | float) else "-"


def _text(value: object) -> str:
    return "-" if value is None else printable(str(value))
