"""gateway/access/explain.py: which place granted what, and why an event does not reach a caller."""

from typing import Any

import pytest

from gateway.access.explain import explain_event, explain_grants
from gateway.access.grant_parsing import parse_grant
from gateway.access.grant_templates import parse_template
from gateway.access.rights import Rights, Source
from gateway.access.rules import Allowance, Rule
from gateway.core.revocations import Revocation
from tests.support.events import TIMESTAMP, an_event

RIGHTS = Rights(
    [
        Rule(
            {"role": "customer"},
            (parse_template("invoice:customer_id=eq.{sub}"), parse_template("job:{job}")),
        ),
        Rule({"role": "staff"}, (parse_template("*"),), Allowance(admin=True, metrics=True)),
    ]
)
CLAIMS: dict[str, Any] = {
    "sub": "c-1",
    "role": "customer",
    "tidegate": {"subscribe": ["menu", "order:"], "publish": ["order", "global"], "presence": ["portal"]},
}
OWN = 'rule 1 grants invoice:customer_id=eq."c-1"'
NO_MATCH = 'does not cover it, since customer_id=eq."c-1" does not match'
SOURCES = RIGHTS.sources_of_token(CLAIMS)


def source(*written: Any) -> list[Source]:
    return [Source("token", tuple(map(parse_grant, written)))]


def test_each_grant_is_named_with_the_place_that_it_is_from() -> None:
    assert explain_grants(SOURCES) == [
        "token grants menu",
        "token grants publishing global, order",
        "token grants presence in portal",
        'token: subscribe[1] grants nothing: it must have an id of 1 to 256 characters after ":", in '
        "quotes where it holds a comma, and without control characters",
        OWN,
        "rule 1: subscribe[1] grants nothing: the claim {job} is absent or null, and an id is text or a "
        "whole number",
    ]


def test_rights_beside_receiving_are_named() -> None:
    staff = RIGHTS.sources_of_token({"role": "staff"})
    assert explain_grants(staff) == [
        "rule 2 grants *",
        "rule 2 grants administration",
        "rule 2 grants metrics",
    ]


def test_whoever_is_granted_nothing_is_told_so() -> None:
    assert explain_grants(RIGHTS.sources_of_token({})) == ["Nothing is granted."]


def test_the_rules_that_are_for_others_are_named_with_what_they_ask_for() -> None:
    assert RIGHTS.rules_passed_over(CLAIMS) == [("rule 2", ["role"])]
    assert RIGHTS.rules_passed_over({}) == [("rule 1", ["role"]), ("rule 2", ["role"])]


@pytest.mark.parametrize(
    ("sources", "event", "sentences"),
    [
        (
            SOURCES,
            an_event("job:J-1"),
            ["It does not reach this caller: no grant is about entity type job."],
        ),
        (
            SOURCES,
            an_event(None),
            ["It does not reach this caller: no grant is about an event without an entity."],
        ),
        (
            SOURCES,
            an_event("invoice:1", data={"customer_id": "c-2"}),
            [
                "It does not reach this caller: no grant covers it.",
                f"{OWN}: {NO_MATCH}",
            ],
        ),
        (
            SOURCES,
            an_event("invoice:1", data={"customer_id": "c-1", "total": 7}),
            ["It reaches this caller, all of it.", f"{OWN}: covers it"],
        ),
        (
            SOURCES,
            an_event("invoice:1", data={"customer_id": "c-2"}, previous={"customer_id": "c-1"}),
            [
                "It reaches this caller as a leave: its grants covered the entity before, and do not now.",
                f"{OWN}: {NO_MATCH}, and covered it before",
            ],
        ),
        (
            SOURCES,
            an_event("invoice:1", data={"customer_id": "c-2"}, previous={"customer_id": "c-3"}),
            [
                "It does not reach this caller: no grant covers it.",
                f"{OWN}: {NO_MATCH}, and did not before",
            ],
        ),
        (
            SOURCES,
            an_event("invoice:1", data={"customer_id": "c-1"}, previous={"customer_id": "c-2"}),
            [
                "It reaches this caller: data with customer_id; previous left out.",
                f"{OWN}: covers it",
            ],
        ),
        (
            SOURCES,
            an_event("invoice:1", action="delete", previous={"customer_id": "c-1"}),
            ["It reaches this caller, all of it.", f"{OWN}: covers it"],
        ),
        (
            source("order:A", "order:B", {"entity": "order", "members": ["stage", "other"]}),
            an_event("order:B", data={"stage": 1, "total": 2}),
            [
                "It reaches this caller, all of it.",
                'token grants order:"A": another entity',
                'token grants order:"B": covers it',
                "token grants order (members other, stage): covers it",
            ],
        ),
        (
            source({"entity": "order", "members": ["stage"]}, {"entity": "*", "members": []}),
            an_event("order:B", data={"stage": 1, "total": 2}, previous={"total": 1}),
            [
                "It reaches this caller: data with stage; previous with no members.",
                "token grants order (members stage): covers it",
                "token grants * (members none): covers it",
            ],
        ),
        (
            source("global", "order"),
            an_event(None, data={"a": 1}),
            ["It reaches this caller, all of it.", "token grants global: covers it"],
        ),
        (
            source("global"),
            an_event("global:1"),
            ["It does not reach this caller: no grant is about entity type global."],
        ),
    ],
)
def test_an_event_reaches_a_caller_or_each_grant_says_why_not(
    sources: list[Source], event: Any, sentences: list[str]
) -> None:
    assert explain_event(sources, event) == sentences


def test_what_an_event_holds_is_not_in_the_sentences() -> None:
    event = an_event("invoice:1", data={"customer_id": "hunter2"}, previous={"customer_id": "hunter3"})
    assert "hunter" not in "".join(explain_event(SOURCES, event))


def test_a_revocation_reaches_nobody_and_no_grant_is_about_it() -> None:
    revocation = Revocation("subject", "ana", 7.0, "left").event(TIMESTAMP)
    assert explain_event(source("*", "global"), revocation) == [
        "It reaches nobody: it is a revocation, which the gateway keeps in the log."
    ]
