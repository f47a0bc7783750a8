"""Claims in grants: whatever one holds changes nothing but its own operand."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.grant_templates import NothingToFill, parse_template
from gateway.access.rights import Rights
from gateway.access.rules import Rule
from gateway.core.filters import Filter
from gateway.core.grants import Grant

TEXTS = st.text(max_size=20) | st.text('",.(){}\\=:einq7*\r\n\x00', max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "role", "branches", "tenant", "x"]), JSON, max_size=5
) | st.fixed_dictionaries(
    {"sub": TEXTS, "tenant": TEXTS, "branches": st.lists(TEXTS, min_size=1, max_size=4)}
)

TEMPLATE = parse_template(
    {
        "entity": "invoice",
        "filters": ["customer=eq.{sub}", "branch=in.{branches}", "kind=in.(a,{tenant},7)", "open=eq.true"],
        "members": ["id"],
    }
)
RIGHTS = Rights([Rule({"role": "customer"}, (TEMPLATE, parse_template("job:{sub}"), parse_template("menu")))])


def by_path(grant: Grant) -> dict[str, Filter]:
    return {given.path[0]: given for given in grant.filters}


def row(**members: Any) -> dict[str, Any]:
    return {"customer": "c", "branch": "b", "kind": "a", "open": True, **members}


@given(CLAIMS)
def test_the_grant_that_claims_fill_in_is_the_rule_s_in_all_but_their_operands(
    claims: dict[str, Any],
) -> None:
    try:
        grant = TEMPLATE.filled(claims)
    except NothingToFill:
        return
    assert (grant.entity, grant.entity_id, grant.members) == ("invoice", None, {"id"})
    filters = by_path(grant)
    assert {name: given.path for name, given in filters.items()} == {
        name: (name,) for name in ("customer", "branch", "kind", "open")
    }
    assert filters["customer"].operator == "eq"
    assert filters["customer"].matches({"customer": claims["sub"]})
    assert filters["open"].operands == (True,)
    assert {"a", 7} <= set(filters["kind"].operands)
    assert len(filters["kind"].operands) <= 3
    assert filters["kind"].matches({"kind": claims["tenant"]})
    branches = claims["branches"]
    scalars = branches if isinstance(branches, list) else [branches]
    assert len(filters["branch"].operands) <= len(scalars)
    for branch in scalars:
        if isinstance(branch, str | int | float):
            assert filters["branch"].matches({"branch": branch})


@given(TEXTS, TEXTS, TEXTS)
def test_a_row_is_covered_where_its_members_are_the_claims_and_nowhere_else(
    subject: str, tenant: str, other: str
) -> None:
    claims = {"sub": subject, "tenant": tenant, "branches": [subject, tenant]}
    try:
        grant = TEMPLATE.filled(claims)
    except NothingToFill:
        assert any("\ud800" <= character <= "\udfff" for character in subject + tenant)
        return

    def covers(**members: Any) -> bool:
        return all(given.matches(row(**members)) for given in grant.filters)

    assert covers(customer=subject, branch=tenant, kind=tenant)
    assert covers(customer=other, branch=subject) is (other == subject)
    assert covers(customer=subject, branch=other) is (other in (subject, tenant))
    assert covers(customer=subject, branch=subject, kind=other) is (other in ("a", tenant))
    assert not covers(customer=subject, branch=subject, open=1)


@given(st.dictionaries(TEXTS, JSON, max_size=3), CLAIMS)
def test_whatever_a_token_holds_makes_a_caller(grants: dict[str, Any], claims: dict[str, Any]) -> None:
    caller = RIGHTS.of_token({**claims, "tidegate": grants})
    assert not caller.admin
    assert caller.scope is not None
    assert {grant.entity for grant in caller.scope.grants} <= {"invoice", "job", "menu"}


@given(JSON, st.lists(JSON, max_size=4))
def test_whatever_grants_a_token_holds_no_rule_s_is_lost(tidegate: Any, subscribe: list[Any]) -> None:
    for given_ in (tidegate, {"subscribe": subscribe, "publish": subscribe, "admin": tidegate}):
        caller = RIGHTS.of_token({"role": "customer", "sub": "u42", "tidegate": given_})
        assert caller.scope is not None
        assert {"job", "menu"} <= {grant.entity for grant in caller.scope.grants}
        assert caller.admin is (isinstance(given_, dict) and given_.get("admin") is True)
