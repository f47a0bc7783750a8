"""Which callers a rule is about."""

import pytest

from flags.decide.caller import Caller, comparable_claims
from flags.decide.targeting import Rule
from tests.support.flags import rule

CALLER = Caller(
    user="ann@example.org",
    session="s1",
    client="c1",
    tenant="acme",
    client_version="2.10.1",
    claims=comparable_claims({"plan": "gold", "roles": ["qa", "dev"], "level": 7}),
)


def matches(attribute: str, operator: str, operand: str | list[str], caller: Caller = CALLER) -> bool:
    return Rule.parse(rule(attribute, operator, operand, "streaming")).matches(caller)


@pytest.mark.parametrize(
    ("attribute", "operator", "operand"),
    [
        ("user", "eq", "ann@example.org"),
        ("user", "neq", "bob"),
        ("user", "startsWith", "ann@"),
        ("session", "in", ["s0", "s1"]),
        ("client", "notIn", ["c0"]),
        ("tenant", "eq", "acme"),
        ("clientVersion", "gte", "2.9"),
        ("clientVersion", "gte", "2.10.1"),
        ("clientVersion", "lt", "2.11"),
        ("clientVersion", "eq", "2.10.1"),
        ("claim:plan", "eq", "gold"),
        ("claim:level", "eq", "7"),
        ("claim:roles", "eq", "qa"),
        ("claim:roles", "in", ["ops", "dev"]),
        ("claim:roles", "startsWith", "de"),
        ("claim:roles", "neq", "ops"),
        ("claim:roles", "notIn", ["ops"]),
    ],
)
def test_a_rule_matches(attribute: str, operator: str, operand: str | list[str]) -> None:
    assert matches(attribute, operator, operand)


@pytest.mark.parametrize(
    ("attribute", "operator", "operand"),
    [
        ("user", "eq", "Ann@example.org"),
        ("user", "neq", "ann@example.org"),
        ("user", "startsWith", "nn@"),
        ("session", "in", ["s"]),
        ("client", "notIn", ["c0", "c1"]),
        ("clientVersion", "gte", "2.10.2"),
        ("clientVersion", "lt", "2.9"),
        ("claim:roles", "neq", "qa"),
        ("claim:roles", "notIn", ["qa"]),
    ],
)
def test_a_rule_does_not_match(attribute: str, operator: str, operand: str | list[str]) -> None:
    assert not matches(attribute, operator, operand)


@pytest.mark.parametrize("attribute", ["user", "session", "client", "tenant", "claim:plan"])
@pytest.mark.parametrize(
    ("operator", "operand"),
    [("eq", "x"), ("neq", "x"), ("in", ["x"]), ("notIn", ["x"]), ("startsWith", "x")],
)
def test_no_rule_is_about_a_caller_without_the_attribute(
    attribute: str, operator: str, operand: str | list[str]
) -> None:
    assert not matches(attribute, operator, operand, Caller())


@pytest.mark.parametrize("version", [None, "", "nightly", "Mozilla/5.0 (X11)"])
@pytest.mark.parametrize("operator", ["gte", "lt"])
def test_a_client_version_that_is_none_has_no_order(version: str | None, operator: str) -> None:
    assert not matches("clientVersion", operator, "1", Caller(client_version=version))
