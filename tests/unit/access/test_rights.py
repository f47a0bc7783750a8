"""gateway/access/rights.py: tokens, keys and callers without either, and what each is granted."""

from typing import Any

import pytest

from gateway.access.grant_parsing import parse_grant
from gateway.access.grant_templates import parse_template
from gateway.access.principal import Principal
from gateway.access.rights import MAX_VALUES, Rights, Source
from gateway.access.rules import Allowance, Rule
from gateway.core.credentials import NOBODY, Credentials
from gateway.core.grants import NOTHING, Grant, Scope


def scope(*written: Any) -> Scope:
    return Scope.of(map(parse_grant, written))


def of(tidegate: Any, *rules: Rule, **claims: Any) -> Principal:
    return Rights(rules).of_token({"sub": "u42", "tidegate": tidegate, **claims})


def test_a_token_says_who_its_caller_is() -> None:
    claims = {"sub": "u42", "jti": "t1", "iat": 5, "exp": 9.5, "other": 1}
    caller = Rights().of_token(claims)
    assert caller.credentials == Credentials("u42", "t1", None, 5, 9.5)
    assert caller.claims == claims


def test_a_token_without_grants_is_granted_nothing() -> None:
    caller = Rights().of_token({"sub": "u42"})
    assert caller == Principal(credentials=Credentials("u42"))
    assert caller.scope == NOTHING


def test_a_token_brings_its_grants() -> None:
    caller = of(
        {
            "subscribe": ["order", "invoice:customer_id=eq.7"],
            "publish": ["order", "global"],
            "presence": ["portal"],
            "broadcast": ["*"],
            "admin": True,
        }
    )
    assert caller.scope == scope("invoice:customer_id=eq.7", "order")
    assert caller.publish == {"order", "global"}
    assert caller.presence == {"portal"}
    assert caller.broadcast == {"*"}
    assert caller.admin
    assert not caller.metrics


def test_an_administrator_may_neither_publish_nor_receive() -> None:
    caller = of({"admin": True})
    assert caller.scope == NOTHING
    assert caller.publish == frozenset()


@pytest.mark.parametrize("admin", [1, "true", [True], {"admin": True}, None, False, 1.0])
def test_admin_is_true_and_nothing_like_it(admin: Any) -> None:
    assert not of({"admin": admin}).admin


@pytest.mark.parametrize("tidegate", [None, True, "order", 7, [], ["order"], [{"admin": True}]])
def test_a_claim_of_grants_that_is_no_object_grants_nothing(tidegate: Any) -> None:
    assert of(tidegate) == Principal(credentials=Credentials("u42"))


@pytest.mark.parametrize("subscribe", ["order", {"order": True}, None, True, 7])
def test_grants_that_are_no_list_are_none(subscribe: Any) -> None:
    assert of({"subscribe": subscribe, "publish": subscribe}).scope == NOTHING
    assert of({"subscribe": subscribe, "publish": subscribe}).publish == frozenset()


def test_a_malformed_grant_is_none_and_the_others_count() -> None:
    caller = of(
        {
            "subscribe": [None, "order:", "order", {"entity": "job", "filter": []}, ["x"], "a:b=like.c"],
            "publish": [7, "or der", "order", None, "", "job\n"],
            "presence": ["", "portal"],
            "unknown": ["*"],
            "metrics": True,
        }
    )
    assert caller.scope == scope("order")
    assert caller.publish == {"order"}
    assert caller.presence == {"portal"}
    assert not caller.metrics


def test_a_token_has_no_claims_filled_in() -> None:
    assert of({"subscribe": ["order:customer_id=eq.{sub}"]}).scope == scope('order:customer_id=eq."{sub}"')


def test_what_a_token_holds_beyond_its_bounds_grants_nothing() -> None:
    grants = [f"order:{n}" for n in range(MAX_VALUES + 5)]
    assert of({"subscribe": grants}).scope == scope(*grants[:MAX_VALUES])
    operands = ",".join(map(str, range(MAX_VALUES - 1)))
    assert of({"subscribe": [f"order:a=in.({operands})", "job"]}).scope == scope(f"order:a=in.({operands})")
    assert of({"subscribe": ["job", f"order:a=in.({operands})"]}).scope == scope("job")
    names = [f"n{n}" for n in range(MAX_VALUES + 5)]
    assert of({"publish": names}).publish == set(names[:MAX_VALUES])


CUSTOMER = Rule(
    {"role": "customer"},
    (parse_template("invoice:customer_id=eq.{sub}"), parse_template("job:{job}")),
    Allowance(presence=frozenset({"portal"})),
)
STAFF = Rule({"role": "staff"}, (parse_template("*"),), Allowance(frozenset({"job"}), admin=True))
EVERYBODY = Rule(subscribe=(parse_template("menu"),), allowance=Allowance(metrics=True))


def test_every_rule_that_applies_grants_beside_the_token() -> None:
    rights = Rights([CUSTOMER, STAFF, EVERYBODY])
    caller = rights.of_token({"sub": "u42", "role": "customer", "tidegate": {"subscribe": ["own"]}})
    assert caller.scope == scope("own", "menu", "invoice:customer_id=eq.u42")
    assert (caller.presence, caller.publish, caller.admin, caller.metrics) == (
        {"portal"},
        frozenset(),
        False,
        True,
    )
    both = rights.of_token({"sub": "u42", "role": ["customer", "staff"]})
    assert both.scope == scope("*", "menu", "invoice:customer_id=eq.u42")
    assert both.admin
    assert both.publish == {"job"}


def test_a_claim_that_grants_nothing_leaves_the_rule_s_other_grants() -> None:
    caller = Rights([CUSTOMER]).of_token({"role": "customer", "job": "J-1"})
    assert caller.scope == Scope.of([Grant("job", "J-1")])


def test_the_same_grants_in_a_fresh_token_are_the_same_scope() -> None:
    rights = Rights([CUSTOMER])
    one = rights.of_token({"sub": "u42", "role": "customer", "jti": "a", "exp": 1})
    other = rights.of_token({"sub": "u42", "role": ["customer"], "jti": "b", "exp": 2})
    assert one.scope == other.scope
    assert one.scope != rights.of_token({"sub": "u43", "role": "customer"}).scope


def test_a_rule_says_the_same_as_a_token() -> None:
    by_rule = Rights([CUSTOMER]).of_token({"sub": "u42", "role": "customer"})
    assert by_rule.scope == of({"subscribe": ["invoice:customer_id=eq.u42"]}).scope


def test_a_key_has_what_the_configuration_grants_it() -> None:
    source = Source("key backend", (Grant("order"),), Allowance(frozenset({"order"}), metrics=True))
    caller = Rights(keys={"backend": source}).of_key("backend")
    assert caller.credentials == Credentials(key="backend")
    assert caller.scope == scope("order")
    assert (caller.publish, caller.admin, caller.metrics) == ({"order"}, False, True)


def test_rules_are_not_for_keys_and_callers_without_a_token() -> None:
    rights = Rights([EVERYBODY], {"k": Source("key k")}, Source("anonymous", (Grant("menu"),)))
    assert rights.of_key("k").scope == NOTHING
    assert rights.anonymous == Principal(credentials=NOBODY, scope=scope("menu"))


def test_there_is_no_anonymous_caller_unless_it_is_configured() -> None:
    assert Rights().anonymous is None


def test_a_source_says_what_grants_nothing_and_why() -> None:
    rights = Rights([STAFF, CUSTOMER])
    token, rule = rights.sources_of_token(
        {"sub": ["hunter2"], "role": "customer", "job": "J", "tidegate": {"subscribe": ["order:"]}}
    )
    assert token.name == "token"
    assert token.refused[0].startswith("subscribe[0] grants nothing: it must have an id of 1 to 256")
    assert rule.name == "rule 2"
    assert rule.refused == ("subscribe[0] grants nothing: the claim {sub} is a list, which fits in.{…} only",)
    assert rule.grants == (Grant("job", "J"),)


def test_a_token_that_is_known_is_read_once() -> None:
    rights = Rights([CUSTOMER], kept_values=5)
    claims = {"sub": "u42", "role": "customer"}
    caller = rights.of_token(claims)
    assert rights.of_token(claims) is caller
    # The second one is of another caller, whatever it says.
    assert rights.of_token({**claims}) is not caller
    assert rights.of_token({**claims, "sub": "u43"}).scope == scope("invoice:customer_id=eq.u43")


def test_only_so_much_is_kept_of_callers() -> None:
    rights = Rights(kept_values=5)
    small: dict[str, Any] = {"tidegate": {"subscribe": ["order"]}}
    large: dict[str, Any] = {"tidegate": {"subscribe": ["order:a=in.(1,2,3,4)"]}}
    kept = rights.of_token(small)
    assert rights.of_token(large) is not rights.of_token(large)
    assert rights.of_token(small) is kept
    for number in range(9):
        rights.of_token({"sub": str(number)})
    again = rights.of_token(small)
    assert again is not kept
    assert again == kept


@pytest.mark.parametrize(
    "large",
    [
        {"groups": [f"group-{number}" for number in range(100)]},
        {"note": "x" * 5000},
        {"tidegate": {"publish": [f"t{number}" for number in range(9)]}},
        {"tidegate": {"subscribe": [{"entity": "order", "members": [f"m{n}" for n in range(9)]}]}},
    ],
    ids=["a list", "a text", "types to publish", "members"],
)
def test_what_a_token_says_beside_its_grants_counts_too(large: dict[str, Any]) -> None:
    rights = Rights(kept_values=9)
    assert rights.of_token(large) is not rights.of_token(large)


def test_claims_that_went_lend_their_place_to_nobody() -> None:
    rights = Rights([CUSTOMER], kept_values=3)
    for number in range(500):
        caller = rights.of_token({"sub": f"u{number}", "role": "customer"})
        assert caller.scope == scope(f"invoice:customer_id=eq.u{number}")
        assert caller.credentials.subject == f"u{number}"


def test_callers_who_are_granted_the_same_share_one_scope() -> None:
    rights = Rights()
    grants = {"tidegate": {"subscribe": ["order", "invoice:branch=eq.7"]}}
    turned = {"tidegate": {"subscribe": ["invoice:branch=eq.7", "order"]}}
    one, other = rights.of_token({"sub": "ann", **grants}), rights.of_token({"sub": "bob", **turned})
    assert one.scope is other.scope
    assert rights.of_token({"sub": "bob", "tidegate": {"subscribe": ["order"]}}).scope != one.scope
