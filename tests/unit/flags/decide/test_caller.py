"""What is known of a caller."""

import pytest

from flags.decide.caller import Caller, comparable_claims

WHOLE = Caller(user="u", session="s", client="c", tenant="t", client_version="1.2")


@pytest.mark.parametrize(
    ("caller", "key"),
    [
        (WHOLE, "u"),
        (Caller(session="s", client="c"), "s"),
        (Caller(client="c"), "c"),
        (Caller(user="", session="", client="c"), "c"),
        (Caller(tenant="t"), None),
        (Caller(), None),
    ],
)
def test_the_default_key_is_the_user_else_the_session_else_the_client(
    caller: Caller, key: str | None
) -> None:
    assert caller.key("default") == key


@pytest.mark.parametrize(
    ("stickiness", "key"), [("user", "u"), ("session", "s"), ("client", "c"), ("tenant", "t")]
)
def test_a_key_of_one_kind_is_that_member(stickiness: str, key: str) -> None:
    assert WHOLE.key(stickiness) == key
    assert Caller().key(stickiness) is None


def test_a_claim_is_a_key_when_it_has_one_value() -> None:
    caller = Caller(claims=comparable_claims({"org": "acme", "roles": ["a", "b"], "none": []}))

    assert caller.key("claim:org") == "acme"
    assert caller.key("claim:roles") is None
    assert caller.key("claim:none") is None
    assert caller.key("claim:absent") is None


def test_claims_are_compared_as_text_and_what_is_no_text_is_left_out() -> None:
    claims = comparable_claims(
        {"n": 42, "f": 1.5, "b": True, "s": "x", "l": ["x", 7, None, {}], "o": {"a": 1}, "z": None, "e": ""}
    )

    assert claims == (("b", ("true",)), ("f", ("1.5",)), ("l", ("x", "7")), ("n", ("42",)), ("s", ("x",)))


def test_equal_callers_are_one_in_a_set() -> None:
    callers = {
        Caller(user="u", claims=comparable_claims(claims)) for claims in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    }

    assert len(callers) == 1


@pytest.mark.parametrize(
    ("stickiness", "caller", "name"),
    [
        ("default", Caller(user="u", session="s", client="c"), "user"),
        ("default", Caller(session="s", client="c"), "session"),
        ("default", Caller(user="", session="", client="c"), "client"),
        ("default", Caller(tenant="t"), None),
        ("client", Caller(user="u", client="c"), "client"),
        ("client", Caller(user="u"), None),
        ("claim:plan", Caller(claims=(("plan", ("gold",)),)), "claim:plan"),
        ("claim:plan", Caller(claims=(("plan", ("gold", "trial")),)), None),
    ],
)
def test_where_a_key_comes_from_has_the_attributes_name(
    stickiness: str, caller: Caller, name: str | None
) -> None:
    assert caller.key_from(stickiness) == name
