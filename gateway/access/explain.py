"""Why a caller may see what it may, and why an event does not reach it; for operators. Pure.

Names of claims, members and entity types are in the sentences, and ids and operands of grants; what events
and tokens hold beside that is not.
"""

from collections.abc import Iterator, Sequence

from gateway.access.grant_parsing import written_grant
from gateway.access.rights import Source
from gateway.core.events import REVOCATION, Event
from gateway.core.grants import EVERY, GLOBAL, Grant, Row, Scope
from gateway.core.selectors import Match, Selector


def explain_grants(sources: Sequence[Source]) -> list[str]:
    """What each place grants, and what grants nothing there and why."""
    sentences = [sentence for source in sources for sentence in _of_source(source)]
    return sentences or ["Nothing is granted."]


def explain_event(sources: Sequence[Source], event: Event) -> list[str]:
    """Whether an event reaches a caller that asks for everything, then why, by each grant about its entity.

    Flags of a migration, which may keep a component's events back from a stream, are not looked at.
    """
    if event.event_type == REVOCATION:
        return ["It reaches nobody: it is a revocation, which the gateway keeps in the log."]
    selector = Selector(scope=Scope.of(grant for source in sources for grant in source.grants))
    about = [(source.name, grant) for source in sources for grant in source.grants if _is_about(grant, event)]
    reasons = [_reason(name, grant, event) for name, grant in about]
    return [_verdict(selector, event, bool(about)), *reasons]


def _of_source(source: Source) -> Iterator[str]:
    allowance = source.allowance
    for grant in source.grants:
        yield f"{source.name} grants {written_grant(grant)}"
    for what, names in (
        ("publishing", allowance.publish),
        ("presence in", allowance.presence),
        ("broadcast to", allowance.broadcast),
    ):
        if names:
            yield f"{source.name} grants {what} {', '.join(sorted(names))}"
    if allowance.admin:
        yield f"{source.name} grants administration"
    if allowance.metrics:
        yield f"{source.name} grants metrics"
    for refused in source.refused:
        yield f"{source.name}: {refused}"


def _verdict(selector: Selector, event: Event, is_named: bool) -> str:
    what = "an event without an entity" if event.entity_type is None else f"entity type {event.entity_type}"
    if not is_named:
        return f"It does not reach this caller: no grant is about {what}."
    match = selector.match(event)
    if match is Match.LEAVE:
        return "It reaches this caller as a leave: its grants covered the entity before, and do not now."
    if match is Match.SKIP:
        return "It does not reach this caller: no grant covers it."
    shown = selector.shown(event)
    if shown is event:
        return "It reaches this caller, all of it."
    parts = [
        f"{name} {'with ' + (', '.join(sorted(state)) or 'no members') if state is not None else 'left out'}"
        for name, state, whole in (
            ("data", shown.data, event.data),
            ("previous", shown.previous, event.previous),
        )
        if whole is not None
    ]
    return f"It reaches this caller: {'; '.join(parts)}."


def _is_about(grant: Grant, event: Event) -> bool:
    if grant.entity == EVERY:
        return True
    if event.entity_type is None:
        return grant.entity == GLOBAL
    return grant.names_type(event.entity_type)


def _reason(name: str, grant: Grant, event: Event) -> str:
    start = f"{name} grants {written_grant(grant)}"
    if grant.entity_id is not None and grant.entity_id != event.entity_id:
        return f"{start}: another entity"
    data, previous = event.data or {}, event.previous or {}
    now = Row(data, previous) if event.action == "delete" else Row(data)
    unmet = [given.text for given in grant.filters if not now.matches(given)]
    if not unmet:
        return f"{start}: covers it"
    sentence = f"{start}: does not cover it, since {' and '.join(unmet)} does not match"
    if event.action == "update" and event.previous is not None:
        before = Row(data, previous)
        is_before = all(before.matches(given) for given in grant.filters)
        sentence += ", and covered it before" if is_before else ", and did not before"
    return sentence
