"""gateway/service/wiring/rights.py: what configurations grant, those in docs/examples first."""

from pathlib import Path
from typing import Any

import pytest

from gateway.access.principal import Principal
from gateway.access.rights import Rights
from gateway.access.selection import granted
from gateway.core.credentials import Credentials
from gateway.core.errors import Forbidden
from gateway.core.events import Event
from gateway.core.grants import NOTHING
from gateway.core.selectors import Match, Selector
from gateway.service.config import load_settings
from gateway.service.wiring.rights import rights_of

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"


def rights(example: str) -> Rights:
    return rights_of(load_settings(EXAMPLES / f"access-{example}.toml", environ={}).auth)


def event(entity: str, entity_id: str = "1", previous: dict[str, Any] | None = None, **data: Any) -> Event:
    return Event("changed", entity, entity_id, "update", "2026-11-20T10:30:00.000Z", data, previous)


def sees(caller: Principal | None, entity: str, entity_id: str = "1", **data: Any) -> bool:
    """Whether a caller that asks for everything gets an event of a row of that data."""
    assert caller is not None
    try:
        selector = granted(Selector(), caller)
    except Forbidden:
        return False
    return selector.match(event(entity, entity_id, **data)) is Match.DELIVER


def shown(caller: Principal, given: Event) -> Any:
    return granted(Selector(), caller).shown(given).data


def test_a_customer_sees_its_own_rows_and_no_others() -> None:
    of = rights("customer")
    caller = of.of_token({"sub": "c-1", "role": "customer"})
    for entity in ("job", "invoice", "message", "loyalty"):
        assert sees(caller, entity, customer_id="c-1")
        assert not sees(caller, entity, customer_id="c-2")
        assert not sees(caller, entity)
    assert sees(caller, "customer", "c-1")
    assert not sees(caller, "customer", "c-2")
    assert not sees(caller, "timesheet", customer_id="c-1")
    assert caller.publish == frozenset()
    assert not caller.admin


def test_a_customer_is_not_shown_what_staff_notes() -> None:
    caller = rights("customer").of_token({"sub": "c-1", "role": "customer"})
    invoice = event("invoice", customer_id="c-1", status="sent", total=7, note="pays late")
    assert shown(caller, invoice) == {"customer_id": "c-1", "status": "sent", "total": 7}


def test_a_row_that_moves_to_another_customer_leaves() -> None:
    caller = rights("customer").of_token({"sub": "c-1", "role": "customer"})
    moved = event("job", customer_id="c-2", previous={"customer_id": "c-1"})
    assert granted(Selector(), caller).match(moved) is Match.LEAVE


def test_staff_sees_and_publishes_every_customer_s_rows() -> None:
    caller = rights("customer").of_token({"sub": "s-1", "role": "staff"})
    assert sees(caller, "job", customer_id="c-1")
    assert sees(caller, "invoice", customer_id="c-2")
    assert caller.may_publish("invoice")
    assert not caller.may_publish("timesheet")


@pytest.mark.parametrize("sub", ['c-1",customer_id=neq."', "c-1,status=is.null", "*", "{sub}", '"c-1"'])
def test_a_customer_of_an_odd_name_sees_rows_of_that_name_alone(sub: str) -> None:
    caller = rights("customer").of_token({"sub": sub, "role": "customer"})
    assert sees(caller, "job", customer_id=sub)
    assert not sees(caller, "job", customer_id="c-1")
    assert not sees(caller, "job")


@pytest.mark.parametrize(
    "claims", [{}, {"sub": "c-1"}, {"role": "customer"}, {"role": "guest", "sub": "c-1"}]
)
def test_a_token_without_the_claims_sees_no_customer_s_rows(claims: dict[str, Any]) -> None:
    caller = rights("customer").of_token(claims)
    assert caller.scope == NOTHING
    assert not sees(caller, "job", customer_id="c-1")
    assert not sees(caller, "job", customer_id=None)


def test_a_portal_lets_nobody_in_without_a_token() -> None:
    assert rights("customer").anonymous is None


def test_a_branch_sees_its_branch() -> None:
    caller = rights("branch").of_token({"app_metadata": {"branch_id": 7}})
    for entity in ("booking", "lead", "inventory", "hall"):
        assert sees(caller, entity, branch_id=7)
        assert sees(caller, entity, branch_id=7.0)
        assert not sees(caller, entity, branch_id=8)
        assert not sees(caller, entity, branch_id="7")
        assert not sees(caller, entity, branch_id=None)
    assert not sees(caller, "salary", branch_id=7)


def test_a_manager_sees_the_branches_in_its_token() -> None:
    of = rights("branch")
    caller = of.of_token({"app_metadata": {"branch_id": 7, "branches": [8, 9], "role": "manager"}})
    assert [sees(caller, "booking", branch_id=branch) for branch in (7, 8, 9, 10)] == [
        True,
        True,
        True,
        False,
    ]
    clerk = of.of_token({"app_metadata": {"branch_id": 7, "branches": [8, 9], "role": "clerk"}})
    assert [sees(clerk, "booking", branch_id=branch) for branch in (7, 8)] == [True, False]
    for branches in ([], None, {"8": True}):
        nobody = of.of_token({"app_metadata": {"branches": branches, "role": "manager"}})
        assert nobody.scope == NOTHING


def test_a_claim_that_the_user_may_write_grants_nothing() -> None:
    caller = rights("branch").of_token({"user_metadata": {"branch_id": 7, "role": "owner"}, "role": "owner"})
    assert caller.scope == NOTHING


def test_an_owner_sees_every_branch() -> None:
    caller = rights("branch").of_token({"app_metadata": {"role": "owner"}})
    assert sees(caller, "booking", branch_id=7)
    assert sees(caller, "salary", branch_id=8)
    assert not caller.admin


def test_whoever_has_no_token_sees_when_halls_are_open() -> None:
    caller = rights("branch").anonymous
    assert caller is not None
    hall = event("hall", is_public=True, name="Main", opening_hours="9 to 5", branch_id=7)
    assert shown(caller, hall) == {"name": "Main", "opening_hours": "9 to 5"}
    assert not sees(caller, "hall", is_public=False)
    assert not sees(caller, "booking", branch_id=7)


APP = "https://apps.example/app"
BOOKING: dict[str, Any] = {
    "code": "BK-1", "status": "paid", "trip_id": "T-1", "pax": 2, "price": 900,
    "customer_id": "u-1", "guide_id": "g-1", "partner_id": "p-1", "company_id": 5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "members"),
    [
        ({"sub": "u-1", APP: "customer"}, {"code", "customer_id", "status", "trip_id"}),
        ({"sub": "g-1", APP: "guide"}, {"code", "pax", "status", "trip_id"}),
        ({"sub": "x", APP: "partner", "https://apps.example/partner": "p-1"}, set(BOOKING)),
        ({"sub": "x", APP: "corporate", "https://apps.example/companies": [4, 5]}, set(BOOKING)),
        ({"sub": "x", APP: "admin", "https://apps.example/roles": ["operations"]}, set(BOOKING)),
        # Whoever is both sees what either does.
        ({"sub": "u-1", APP: ["customer", "guide"]}, {"code", "customer_id", "status", "trip_id"}),
    ],
)
def test_each_application_is_shown_its_share_of_a_booking(claims: dict[str, Any], members: set[str]) -> None:
    caller = rights("applications").of_token(claims)
    assert sees(caller, "booking", **BOOKING)
    assert set(shown(caller, event("booking", **BOOKING))) == members


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "u-2", APP: "customer"},
        {"sub": "u-1", APP: "guide"},
        {"sub": "p-1", APP: "partner"},
        {"sub": "x", APP: "partner", "https://apps.example/partner": "p-2"},
        {"sub": "x", APP: "corporate", "https://apps.example/companies": ["5"]},
        {"sub": "x", APP: "admin"},
        {"sub": "u-1", "https://apps.example/roles": "operations"},
    ],
)
def test_no_application_sees_another_s_booking(claims: dict[str, Any]) -> None:
    assert not sees(rights("applications").of_token(claims), "booking", **BOOKING)


def test_a_wallet_is_seen_by_its_owner() -> None:
    caller = rights("applications").of_token({"sub": "u-1", APP: "customer"})
    assert sees(caller, "wallet", "u-1", balance=7)
    assert not sees(caller, "wallet", "u-2", balance=7)
    assert sees(caller, "package", "any")


def test_each_backend_publishes_its_own_entities() -> None:
    of = rights("applications")
    booking = of.of_key("booking-backend")
    assert booking.credentials == Credentials(key="booking-backend")
    assert booking.may_publish("trip")
    assert not booking.may_publish("wallet")
    assert not booking.may_publish(None)
    assert booking.scope == NOTHING
    assert of.of_key("prometheus").metrics
    assert not of.of_key("prometheus").admin


def test_the_defaults_grant_nobody_anything() -> None:
    of = rights_of(load_settings(None, environ={}).auth)
    assert of.of_token({"sub": "u"}).scope == NOTHING
    assert of.anonymous is None
