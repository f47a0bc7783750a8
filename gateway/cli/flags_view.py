"""Flags as lines for people.

What the gateway answers is taken as it comes: a member that it lacks is shown as `-`, and nothing that it
says can steer the terminal.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from flags.decide.caller import BY_SESSION
from flags.decide.stages import Stage
from flags.parity.report import WHY
from gateway.cli.nodes_view import whose_lines
from gateway.cli.terminal import printable, table

Members = Mapping[str, Any]

_MAX_SHOWN = 60
"""How many characters of one value a line of a history shows."""


def list_lines(answer: Members) -> list[str]:
    """All flags, one a line."""
    lines = ["everything is killed: all callers poll"] if answer.get("killAll") else []
    held = answer.get("heldHere")
    if isinstance(held, Mapping):
        names = ["everything"] if held.get("killAll") else []
        names += [_text(name) for name in held.get("components", ())]
        if names:
            lines.append(f"killed on this node alone, until the flags' store takes it: {', '.join(names)}")
    flags = _objects(answer.get("flags"))
    if not flags:
        return [*lines, "no flags: every component streams and polls freely"]
    rows: list[tuple[str, ...]] = [("COMPONENT", "STAGE", "PERCENT", "STATE", "REVISION")]
    rows += [
        (
            _text(flag.get("component")),
            _text(flag.get("stage")),
            _text(flag.get("percentage")),
            _state(flag),
            _text(flag.get("revision")),
        )
        for flag in flags
    ]
    return [*lines, *table(rows)]


def flag_lines(flag: Members) -> list[str]:
    """One flag, one member a line."""
    return table([(_text(name), _text(value)) for name, value in flag.items()])


def changed_lines(flag: Members) -> list[str]:
    """What a flag is after a change, in one line."""
    return [
        *_local_lines(flag),
        f"{_text(flag.get('component'))} is at revision {_text(flag.get('revision'))}: "
        f"{_text(flag.get('stage'))}, {_text(flag.get('percentage'))} %, {_state(flag)}",
    ]


def keyless_lines(flag: Members, pollers: Members) -> list[str]:
    """A warning where the flag's percentage can't place most of those who ask; else nothing."""
    percentage, keys = _number(flag.get("percentage")), pollers.get("keys")
    if flag.get("stage") != Stage.LIVE or not 0 < percentage < 100 or not isinstance(keys, Mapping):
        return []
    keyed, keyless = _number(keys.get("with")), _number(keys.get("without"))
    if keyless <= keyed:
        return []
    if keys.get("sessionCookie") and flag.get("stickiness") in BY_SESSION:
        then = (
            "browsers get a session as a cookie; a client that keeps no cookies changes sides from one to "
            "the next, until it sends a clientId"
        )
    else:
        then = "these callers poll below 100 %"
    return [
        f"{keyless:g} of the {keyed + keyless:g} requests of the last {_text(keys.get('minutes'))} minutes "
        f"came without a key (stickiness {_text(flag.get('stickiness'))}): {then}",
        *whose_lines(pollers),
    ]


def removed_lines(answer: Members) -> list[str]:
    """That a flag is gone, in one line."""
    return [
        f"{_text(answer.get('component'))} has no flag any more (revision {_text(answer.get('revision'))}): "
        "it streams and polls freely"
    ]


def switched_lines(answer: Members) -> list[str]:
    """What the kill switch for everything is after a change."""
    killed = answer.get("killAll")
    return [
        *_local_lines(answer),
        "everything is killed: all callers poll" if killed else "the flags count again",
    ]


def _local_lines(answer: Members) -> list[str]:
    """What came of a switch that was meant for the node that answered."""
    lines = []
    if answer.get("local"):
        lines.append("killed on this node alone: the flags' store did not take it, and gets it once it does")
    missed = answer.get("missedWorkers")
    if isinstance(missed, list) and missed:
        lines.append(
            f"not told, for they did not answer: workers {', '.join(map(_text, missed))}; say it again"
        )
    return lines


def history_lines(answer: Members) -> list[str]:
    """The revisions, oldest first: which, when, by whom, what and why."""
    revisions = _objects(answer.get("revisions"))
    if not revisions:
        return ["no revisions"]
    held, first = answer.get("heldFrom"), revisions[0].get("revision")
    gone = [f"revisions before {_text(held)} are not held any more"] if held not in (None, 1) else []
    if _number(first) > _number(held) > 0:
        gone.append(f"the first that is shown is {_text(first)}: --limit 100 shows all that are held")
    rows: list[tuple[str, ...]] = [("REVISION", "WHEN", "WHO", "WHAT", "WHY")]
    rows += [
        (
            _text(revision.get("revision")),
            _text(revision.get("when")),
            _text(revision.get("who")),
            _what(revision),
            _text(revision.get("why")),
        )
        for revision in revisions
    ]
    return [*gone, *table(rows)]


def change_lines(changes: object) -> list[str]:
    """What happened since the revision that a change was meant for."""
    return [
        f"  revision {_text(change.get('revision'))} by {_text(change.get('who'))} "
        f"({_text(change.get('why'))}): {_what(change)}"
        for change in _objects(changes)
    ]


def poller_lines(answer: Members) -> list[str]:
    """Who still polls, the most frequent first."""
    pollers = _objects(answer.get("pollers"))
    summary = (
        f"{_counted(answer.get('polls'), 'poll')}, "
        f"{_counted(answer.get('upstreamRequests'), 'request')} to the upstream, "
        f"{_text(answer.get('savedBySnapshot'))} saved by the shared snapshot, "
        f"{_text(answer.get('savedByPush'))} by push"
    )
    if not pollers:
        return ["nobody has polled since the gateway started", summary, *whose_lines(answer)]
    rows: list[tuple[str, ...]] = [("CLIENT", "POLLS", "PER SECOND", "LAST SEEN")]
    rows += [
        (
            _text(poller.get("client")),
            _text(poller.get("polls")),
            _rounded(poller.get("perSecond"), 2),
            f"{_rounded(poller.get('lastSeenSeconds'), 0)} s ago",
        )
        for poller in pollers
    ]
    return [*table(rows), summary, *whose_lines(answer)]


def parity_lines(answer: Members) -> list[str]:
    """Whether push says the same as polling: the verdict, then the outcomes and where the two differ."""
    head = f"{_text(answer.get('component'))}: stage {_text(answer.get('stage'))}"
    ratio = answer.get("checkRatio")
    if ratio is not None:
        head += f", one in {_text(ratio)} polled answers is compared"
    lines = [head, _verdict(answer)]
    lines.append(
        f"{_counted(answer.get('samples'), 'answer')} compared, {_text(answer.get('dropped'))} dropped; "
        f"{_counted(answer.get('pending'), 'difference')} pending, {_text(answer.get('standing'))} standing"
    )
    outcomes = answer.get("outcomes")
    counted = [item for item in outcomes.items() if item[1]] if isinstance(outcomes, Mapping) else []
    if counted:
        rows: list[tuple[str, ...]] = [("OUTCOME", "COUNT")]
        rows += [(_text(name), _text(count)) for name, count in counted]
        lines += table(rows)
    lines += _incomparable_lines(answer.get("incomparable"))
    lines += _place_lines(answer.get("places"))
    return [*lines, *_kind_lines(answer.get("kinds")), *whose_lines(answer)]


def _verdict(answer: Members) -> str:
    consistency = answer.get("consistency")
    if isinstance(consistency, int | float):
        # Cut off, not rounded: 100 % is said only where nothing differed.
        return f"consistency {math.floor(consistency * 10_000) / 100:g} %"
    return f"consistency unknown ({_text(answer.get('reason'))}): {_text(answer.get('why'))}"


def _incomparable_lines(reasons: object) -> list[str]:
    """Why something could not be compared, the most frequent first."""
    counted = (
        [(_text(name), count) for name, count in reasons.items() if count]
        if isinstance(reasons, Mapping)
        else []
    )
    rows = [
        (name, _text(count), WHY.get(name, ""))
        for name, count in sorted(counted, key=lambda one: _number(one[1]), reverse=True)
    ]
    return table([("INCOMPARABLE", "COUNT", "WHY"), *rows]) if rows else []


def _place_lines(places: object) -> list[str]:
    found = places.items() if isinstance(places, Mapping) else ()
    rows = [
        (_text(entity_type), _text(place.get("pointer")) or "(as a whole)", _text(place.get("count")))
        for entity_type, listed in found
        for place in _objects(listed)
    ]
    return table([("TYPE", "DIFFERS AT", "TIMES"), *rows]) if rows else []


_WAYS = (
    ("as", "in --as of the captured table"),
    ("map", "in map of the route"),
    ("parity", "in [legacy.parity]"),
)
"""Where a proposal may be written."""


def _kind_lines(kinds: object) -> list[str]:
    """Of what kind the differences of each member are, and what mends those that are all of one kind."""
    found = kinds.items() if isinstance(kinds, Mapping) else ()
    listed = [(_text(entity_type), kind) for entity_type, given in found for kind in _objects(given)]
    rows = [
        (
            entity_type,
            _text(kind.get("pointer")),
            _text(kind.get("kind")),
            f"{math.floor(_number(kind.get('share')) * 100)} %",
            f"polled as {_text(kind['polledAs'])}" if kind.get("polledAs") else "",
        )
        for entity_type, kind in listed
    ]
    lines = table([("TYPE", "MEMBER", "KIND", "SHARE", ""), *rows]) if rows else []
    for entity_type, kind in listed:
        proposal, pointer = kind.get("proposal"), _text(kind.get("pointer"))
        ways = [
            (where, proposal[way])
            for way, where in _WAYS
            if isinstance(proposal, Mapping) and proposal.get(way)
        ]
        for number, (where, text) in enumerate(ways):
            lines.append(f"{'or' if number else f'{entity_type} {pointer}:'} {where}")
            lines += [f"    {printable(line)}" for line in str(text).splitlines()]
    return lines


def explain_lines(answer: Members) -> list[str]:
    """What a caller gets of each component, and why."""
    decisions = _objects(answer.get("decisions"))
    if not decisions:
        return ["no components: nothing is configured, and there are no flags"]
    lines = []
    for decision in decisions:
        terms = [_text(decision[name]) for name in ("stage", "reason", "cause") if name in decision]
        lines.append(
            f"{_text(decision.get('component'))}: {_text(decision.get('mode'))} ({', '.join(terms)})"
        )
        lines.append(f"  {_text(decision.get('why'))}")
    return lines


def _state(flag: Members) -> str:
    """What keeps the flag from counting; where nothing does, whether the guard may take it back."""
    states = [word for name, word in (("killed", "killed"), ("latch", "latched")) if flag.get(name)]
    guard = flag.get("guard")
    if states or not isinstance(guard, Mapping):
        return " and ".join(states) or "-"
    return "armed" if guard.get("dryRun") is False else "dry run"


def _what(revision: Members) -> str:
    before, after = revision.get("before"), revision.get("after")
    restored = f" (back to revision {_text(revision['restores'])})" if "restores" in revision else ""
    if not isinstance(after, Mapping):
        return "removed"
    if not isinstance(before, Mapping):
        return f"made: {_text(after.get('stage'))}, {_text(after.get('percentage'))} %"
    changes = [change for name, value in after.items() for change in _changes(name, before.get(name), value)]
    return ", ".join(changes) + restored


def _changes(name: str, before: object, after: object) -> Iterator[str]:
    """What changed about a member, or in the object that it is: `guard.dryRun true → false`."""
    if name == "latch":
        # Why it was set stands beside it, as the reason of the revision; `flags show` has its figures.
        yield "re-armed" if after is None else "latched"
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for inner in sorted({*before, *after}, key=[*after, *before].index):
            if before.get(inner) != after.get(inner):
                yield from _changes(f"{name}.{inner}", before.get(inner), after.get(inner))
    else:
        yield f"{_text(name)} {_short(before)} → {_short(after)}"


def _short(value: object) -> str:
    """The value, or where a line would not hold it how much it is: `flags show` has it whole."""
    text = _text(value)
    if len(text) <= _MAX_SHOWN:
        return text
    return (
        f"({_counted(len(value), 'member')})" if isinstance(value, list | dict) else f"{text[:_MAX_SHOWN]}…"
    )


def _counted(count: object, noun: str) -> str:
    return f"{_text(count)} {noun}" if count == 1 else f"{_text(count)} {noun}s"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _rounded(value: object, digits: int) -> str:
    return f"{round(value, digits):g}" if isinstance(value, int | float) else _text(value)


def _objects(value: object) -> list[Members]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
