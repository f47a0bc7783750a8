"""What `check-config --try` says of one route, of what its upstream answered. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import orjson

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.failures import kind_of
from adapters.upstream.reading.items import Items
from gateway.cli import DONE, REFUSED, UNREACHABLE
from gateway.cli.routes.advice import Refused, advice_on_body, advice_on_failure, advice_on_status
from gateway.cli.routes.asking import Heard
from gateway.cli.routes.changes import Changes, between
from gateway.cli.routes.fields import not_passed_on, said_of_callers
from gateway.cli.routes.lists import steps_of
from gateway.cli.routes.next_page import doubts_of_pages, has_next_link, pointer_to_next
from gateway.cli.routes.texts import text_of
from gateway.cli.routes.toml import toml_value
from gateway.cli.terminal import printable, table
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import UpstreamAnswered

_SHOWN_KEYS = 3
_SHOWN_MEMBERS = 8
_COMPARED = 2000
_RETRY_STATUSES = frozenset({408, 425, 429})


def report_on(route: LegacyRoute, first: Heard, second: Heard | None) -> tuple[list[str], int]:
    """Lines about a route whose upstream was asked once, and maybe again; and their exit code."""
    rows, advice, code = _of_answer(route, first)
    if first.items is not None and first.fetched is not None:
        rows += _of_items(route, first.fetched, first.items)
        advice += _of_sizes(route, first.seconds, first.items)
        advice += _of_bad_items(route, first.fetched, first.items)
        advice += _of_pages(route, first.fetched, first.items)
        if second is not None:
            advice += _of_etags(first.fetched, second.fetched)
            more_rows, more_advice = _of_changes(route, first.items, second)
            rows += more_rows
            advice += more_advice
    if first.error is None:
        rows.append(("events", _events_of(route)))
    if first.fetched is not None:
        left_out = not_passed_on(first.fetched.headers)
        rows += [("not passed on", ", ".join(left_out))] if left_out else []
        rows += [("callers", said) for said in said_of_callers(first.fetched.headers, route.headers)]
    lines = [printable(line) for line in table(rows, "  ")]
    return [route.name, *lines, *(f"  ! {printable(sentence)}" for sentence in advice)], code


def _of_answer(route: LegacyRoute, heard: Heard) -> tuple[list[tuple[str, ...]], list[str], int]:
    rows: list[tuple[str, ...]] = []
    fetched, error = heard.fetched, heard.error
    if fetched is not None:
        content_type = fetched.headers.get("Content-Type", "no type")
        coding = f" in {fetched.coding}" if fetched.coding else ""
        pages = f", and {len(fetched.more)} more" if fetched.more else ""
        rows.append(
            (
                "answer",
                f"{fetched.status}, {content_type}, {len(fetched.body)} bytes{coding}{pages}, "
                f"in {heard.seconds:.2f} s",
            )
        )
        rows.append(("known again by", _validators(fetched)))
    if error is None:
        return rows, [], DONE
    rows.append(("problem", error.detail))
    kind = kind_of(error)
    if isinstance(error, UpstreamAnswered):
        status = error.answer.status
        is_passing = status >= 500 or status in _RETRY_STATUSES
        advice = advice_on_status(route, Refused(status, error.answer.headers))
        return rows, advice, UNREACHABLE if is_passing else REFUSED
    if fetched is None:
        return rows, advice_on_failure(kind), UNREACHABLE
    content_type = fetched.headers.get("Content-Type", "")
    advice = advice_on_failure(kind) or advice_on_body(route, kind, fetched.body, content_type)
    return rows, advice, REFUSED


def _validators(fetched: Fetched) -> str:
    names = [name for name in ("ETag", "Last-Modified") if name in fetched.headers]
    return " and ".join(names) or "its bytes alone: each poll is sent the whole list"


def _of_items(route: LegacyRoute, fetched: Fetched, items: Items) -> list[tuple[str, ...]]:
    where = f" at {route.items}" if route.items else ""
    rows: list[tuple[str, ...]] = [("items", f"{len(items)}{where}")]
    if fetched.more:
        rows.append(("requests", f"{1 + len(fetched.more)}, pages and also together"))
    if len(items):
        keys = [toml_value(key) for key in islice(items, _SHOWN_KEYS)]
        of = " and ".join(route.keys) or ("the members' names" if route.shape == "map" else "id")
        rows.append(("keys", f"{', '.join(keys)}{', …' if len(items) > len(keys) else ''} ({of})"))
    return rows


def _of_sizes(route: LegacyRoute, seconds: float, items: Items) -> list[str]:
    said = []
    if seconds > route.interval_seconds:
        said.append(
            f"The answer took longer than interval_seconds ({route.interval_seconds:g}): the upstream would "
            "be asked all the time. Set a longer one."
        )
    large = sum(len(raw) > route.max_event_bytes for _, raw in islice(items.items(), _COMPARED))
    if large and route.events == "poll":
        said.append(
            f"{large} items are over publish.max_event_bytes ({route.max_event_bytes}): their events go out "
            "without data. Leave members out with map, or raise it."
        )
    return said


def _of_bad_items(route: LegacyRoute, fetched: Fetched, items: Items) -> list[str]:
    if not items.bad:
        return []
    kinds = ", ".join(f"{kind} ({count})" for kind, count in items.bad.items())
    place, kind = items.bad_ones[0]
    said = [
        f"{items.bad.total()} items can't be compared and make no events: {kinds}; the first is item {place}."
    ]
    return said + advice_on_body(route, kind, fetched.body, fetched.headers.get("Content-Type", ""))


def _of_pages(route: LegacyRoute, fetched: Fetched, items: Items) -> list[str]:
    if route.pages is not None or route.shape == "single":
        return []
    if has_next_link(fetched.headers):
        return ["A Link field names a next page, which is not asked for: pages = { link = true }."]
    text = text_of(fetched.body)
    if text.kind != "json":
        return []
    pointer = pointer_to_next(text.value)
    if pointer is not None:
        return [
            f"{pointer} is for the next page, which is not asked for: "
            f"pages = {{ next = {toml_value(pointer)} }}."
        ]
    return [f"{doubt[:1].upper()}{doubt[1:]}." for doubt in doubts_of_pages(text.value, len(items))]


def _of_changes(route: LegacyRoute, before: Items, second: Heard) -> tuple[list[tuple[str, ...]], list[str]]:
    if second.is_unchanged:
        return [("asked again", "304, nothing changed")], []
    if second.items is None:
        detail = "no answer" if second.error is None else second.error.detail
        return [("asked again", detail)], [
            "It answered once and not again: is that the upstream's usual way?"
        ]
    changes = between(_decoded(before), _decoded(second.items))
    changes = changes._replace(
        members={
            pointer: count
            for pointer, count in changes.members.items()
            if pointer and not _is_ignored(pointer, route.ignore)
        }
    )
    rows: list[tuple[str, ...]] = [("asked again", _in_words(changes))]
    if second.events:
        types = Counter(event.event_type for event in second.events)
        rows.append(("would publish", ", ".join(f"{count} {kind}" for kind, count in types.items())))
    advice = []
    restless = [pointer for pointer in changes.restless if pointer]
    if restless and route.events != "none":
        advice.append(
            f"Most items changed at {', '.join(restless[:_SHOWN_MEMBERS])} in that moment: each change is an "
            f"event. If it means nothing: ignore = {toml_value([*route.ignore, *restless[:_SHOWN_MEMBERS]])}."
        )
    if not changes.common and changes.created and changes.deleted:
        advice.append("No item is in both answers: does the key change from answer to answer?")
    return rows, advice


def _of_etags(first: Fetched, second: Fetched | None) -> list[str]:
    if second is None or second.body == first.body or "ETag" not in first.headers:
        return []
    if first.headers["ETag"] != second.headers.get("ETag"):
        return []
    return ["Its ETag stayed the same while the answer changed, so it is not relied upon: mend the upstream."]


def _in_words(changes: Changes) -> str:
    members = [f"{pointer} ({count})" for pointer, count in islice(changes.members.items(), _SHOWN_MEMBERS)]
    more = len(changes.members) - len(members)
    said = [f"changed: {', '.join(members)}{f' and {more} more' if more else ''}"] if members else []
    said += [f"{changes.created} new"] if changes.created else []
    said += [f"{changes.deleted} gone"] if changes.deleted else []
    return f"{'; '.join(said) or 'nothing changed'}, of {changes.common} items in both"


def _decoded(items: Items) -> dict[str, Any]:
    return {key: orjson.loads(raw) for key, raw in islice(items.items(), _COMPARED)}


def _is_ignored(pointer: str, ignore: Iterable[str]) -> bool:
    """Whether what is at `pointer` is at one of these, or below it."""
    steps = steps_of(pointer)
    return any(_begins_with(steps, steps_of(ignored)) for ignored in ignore)


def _begins_with(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(steps) >= len(pattern) and all(
        part in ("*", step) for step, part in zip(steps, pattern, strict=False)
    )


def _events_of(route: LegacyRoute) -> str:
    """What the route's events would be called, or where they come from."""
    if route.events == "none":
        return 'none (events = "none")'
    if route.events == "external":
        return "from outside: publish, capture"
    entity = route.entity
    changes = [f"{kind} ({member})" for member, kind in route.changes.items()]
    single = [] if route.shape == "single" else [f"{entity}_created", f"{entity}_deleted"]
    return ", ".join([*single, *changes, f"{entity}_updated"])
