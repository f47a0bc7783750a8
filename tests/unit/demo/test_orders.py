"""The demo's orders: which moves the table of stages allows, and what a body may say."""

import pytest

from gateway.demo.orders import (
    FIRST_STAGE,
    LAST_STAGE,
    STAGES,
    ForbiddenMove,
    InvalidOrder,
    Order,
    StaleOrder,
    moved,
    parse_new,
    parse_part,
    parse_whole,
)

BEFORE = "2026-11-20T10:30:00.000Z"
NOW = "2026-11-20T10:30:05.000Z"


def an_order(stage: str, payment: str | None = None, overall: str | None = None) -> Order:
    return Order(
        order_id="ORDER-001",
        customer="Ada Berg",
        amount=99.5,
        updated_at=BEFORE,
        stage=stage,
        payment_status=payment or STAGES[stage].payments[0],
        overall_status=overall or STAGES[stage].overalls[0],
    )


def test_the_stages_lead_from_empty_to_paid():
    order = an_order(FIRST_STAGE)
    walked = [order.stage]
    while STAGES[order.stage].following:
        order = moved(order, {"orderStage": STAGES[order.stage].following[0]}, NOW)
        walked.append(order.stage)

    assert walked == ["empty", "initiated", "open", "billed", LAST_STAGE]


@pytest.mark.parametrize(
    ("stage", "target"),
    [
        (stage, target)
        for stage in STAGES
        for target in STAGES
        if target != stage and target not in STAGES[stage].following
    ],
)
def test_a_stage_that_does_not_follow_is_refused(stage, target):
    with pytest.raises(ForbiddenMove) as refused:
        moved(an_order(stage), {"orderStage": target}, NOW)

    assert refused.value.members.keys() == {"orderStage"}


def test_a_new_stage_sets_the_statuses_it_begins_with():
    paid = moved(an_order("billed", payment="failed"), {"orderStage": "paid"}, NOW)

    assert (paid.payment_status, paid.overall_status) == ("settled", "completed")


def test_a_status_that_the_new_stage_allows_is_kept():
    reopened = moved(an_order("billed"), {"orderStage": "open"}, NOW)

    assert (reopened.payment_status, reopened.overall_status) == ("none", "active")


def test_a_status_that_does_not_go_with_the_stage_is_refused():
    with pytest.raises(ForbiddenMove) as refused:
        moved(an_order("open"), {"paymentStatus": "settled"}, NOW)

    assert refused.value.members == {"paymentStatus": "an order that is open allows none"}


def test_an_order_on_hold_keeps_its_stage():
    with pytest.raises(ForbiddenMove, match="on hold"):
        moved(an_order("open", overall="on_hold"), {"orderStage": "billed"}, NOW)


def test_an_order_may_be_released_and_moved_at_once():
    after = moved(
        an_order("open", overall="on_hold"), {"orderStage": "billed", "overallStatus": "active"}, NOW
    )

    assert (after.stage, after.overall_status) == ("billed", "active")


def test_a_change_sets_the_time_of_the_change():
    assert moved(an_order("open"), {"amount": 5}, NOW).updated_at == NOW


def test_a_change_to_what_is_there_already_changes_nothing():
    order = an_order("open")

    assert moved(order, {"orderStage": "open", "amount": 99.5}, NOW) is order


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"customer", "amount"}),
        ({"customer": "", "amount": 1}, {"customer"}),
        ({"customer": "A\nB", "amount": 1}, {"customer"}),
        ({"customer": "A" * 101, "amount": 1}, {"customer"}),
        ({"customer": 7, "amount": 1}, {"customer"}),
        ({"customer": "Ada", "amount": "1"}, {"amount"}),
        ({"customer": "Ada", "amount": True}, {"amount"}),
        ({"customer": "Ada", "amount": -1}, {"amount"}),
        ({"customer": "Ada", "amount": 1.001}, {"amount"}),
        ({"customer": "Ada", "amount": 10**400}, {"amount"}),
        ({"customer": "Ada", "amount": float("nan")}, {"amount"}),
        ({"customer": "Ada", "amount": 1, "orderStage": "paid"}, {"orderStage"}),
        ({"customer": "Ada", "amount": 1, "color": "red"}, {"color"}),
    ],
)
def test_a_bad_new_order_is_refused_by_member(body, wrong):
    with pytest.raises(InvalidOrder) as refused:
        parse_new(body)

    assert refused.value.members.keys() == wrong


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(InvalidOrder, match="JSON object"):
        parse_new(body)


def test_a_change_of_nothing_is_refused():
    with pytest.raises(InvalidOrder, match="Nothing to change"):
        parse_part({}, an_order("open"))


@pytest.mark.parametrize("stage", ["shipped", "", None, 3, ["open"], {}])
def test_an_unknown_stage_is_refused_with_those_that_exist(stage):
    with pytest.raises(InvalidOrder) as refused:
        parse_part({"orderStage": stage}, an_order("open"))

    assert refused.value.members == {"orderStage": "must be one of empty, initiated, open, billed, paid"}


def test_an_order_may_be_sent_back_as_it_was_read():
    order = an_order("open")

    assert moved(order, parse_whole(order.to_json(), order), NOW) is order


def test_an_order_replaces_another_only_whole():
    with pytest.raises(InvalidOrder) as refused:
        parse_whole({"customer": "Ada", "amount": 1, "orderStage": "open"}, an_order("open"))

    assert refused.value.members == {"paymentStatus": "is required", "overallStatus": "is required"}


def test_an_order_keeps_its_id():
    with pytest.raises(InvalidOrder) as refused:
        parse_part({"orderID": "ORDER-002", "amount": 1}, an_order("open"))

    assert refused.value.members == {"orderID": "must be ORDER-001"}


def test_a_change_of_an_old_copy_is_refused():
    with pytest.raises(StaleOrder):
        parse_part({"updatedAt": "2026-11-20T10:00:00.000Z", "amount": 1}, an_order("open"))
