"""The demo's orders and the moves that they may make: pure, no I/O, no clock.

The rules are those of a plain legacy application: a stage follows a stage, and each stage allows some
payment and overall statuses. They are the table STAGES; everything here reads it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

ON_HOLD = "on_hold"
"""The overall status in which an order keeps its stage."""

MAX_CUSTOMER_CHARACTERS = 100
MAX_AMOUNT = 1_000_000


class Stage(NamedTuple):
    """Which stages may follow, and which statuses go with this one; it begins with the first of each."""

    following: tuple[str, ...]
    payments: tuple[str, ...]
    overalls: tuple[str, ...]


STAGES: Mapping[str, Stage] = {
    "empty": Stage(("initiated",), ("none",), ("draft",)),
    "initiated": Stage(("open",), ("none",), ("active", ON_HOLD)),
    "open": Stage(("billed",), ("none",), ("active", ON_HOLD)),
    "billed": Stage(("paid", "open"), ("pending", "failed"), ("active", ON_HOLD)),
    "paid": Stage((), ("settled",), ("completed",)),
}
"""From an empty order to a paid one. A bill may be withdrawn: back from billed to open."""

FIRST_STAGE = "empty"
LAST_STAGE = "paid"

PAYMENT_STATUSES = tuple(dict.fromkeys(status for stage in STAGES.values() for status in stage.payments))
OVERALL_STATUSES = tuple(dict.fromkeys(status for stage in STAGES.values() for status in stage.overalls))


class OrderError(Exception):
    """Something that can't be done with an order; nothing was changed.

    `code` is for programs, the message for people; `members` maps a member to what is wrong with it.
    """

    code = "order_error"

    def __init__(self, message: str, members: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.members = dict(members or {})


class InvalidOrder(OrderError):
    """The input is not an order, or not a part of one."""

    code = "invalid_order"


class ForbiddenMove(OrderError):
    """The input is well formed, but the order may not go there from where it is."""

    code = "forbidden_move"


class StaleOrder(OrderError):
    """The sender's copy of the order is not the newest."""

    code = "stale_order"


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `amount` is in euros with at most two decimals, `updated_at` RFC 3339 in UTC."""

    order_id: str
    customer: str
    amount: float
    updated_at: str
    stage: str = FIRST_STAGE
    payment_status: str = STAGES[FIRST_STAGE].payments[0]
    overall_status: str = STAGES[FIRST_STAGE].overalls[0]

    def to_json(self) -> dict[str, str | float]:
        """The order under the names that its API gives the members."""
        return {
            "orderID": self.order_id,
            "customer": self.customer,
            "amount": self.amount,
            "orderStage": self.stage,
            "paymentStatus": self.payment_status,
            "overallStatus": self.overall_status,
            "updatedAt": self.updated_at,
        }


def _text_problem(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MAX_CUSTOMER_CHARACTERS and value.isprintable():
        return None
    return f"must be a text of 1 to {MAX_CUSTOMER_CHARACTERS} printable characters"


def _amount_problem(value: object) -> str | None:
    # bool is an int to Python, and no amount to anybody.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    if 0 <= value <= MAX_AMOUNT and round(value, 2) == value:
        return None
    return f"must be a number from 0 to {MAX_AMOUNT} with at most two decimals"


def _one_of(allowed: tuple[str, ...]) -> Callable[[object], str | None]:
    def problem(value: object) -> str | None:
        return None if value in allowed else f"must be one of {', '.join(allowed)}"

    return problem


_PROBLEMS: Mapping[str, Callable[[object], str | None]] = {
    "customer": _text_problem,
    "amount": _amount_problem,
    "orderStage": _one_of(tuple(STAGES)),
    "paymentStatus": _one_of(PAYMENT_STATUSES),
    "overallStatus": _one_of(OVERALL_STATUSES),
}

_FOR_A_NEW_ORDER = frozenset({"customer", "amount"})


def parse_new(body: object) -> Mapping[str, Any]:
    """The members of an order to create: `customer` and `amount`, both required, and nothing else.

    `body` is parsed JSON. Raises InvalidOrder, which names every member that is wrong.
    """
    return _parse(body, allowed=_FOR_A_NEW_ORDER, required=_FOR_A_NEW_ORDER)


def parse_whole(body: object, order: Order) -> Mapping[str, Any]:
    """The members of an order that replaces `order`: all five that can change are required.

    `orderID` and `updatedAt` may be there, as they are when a client sends back what it got; both must be
    `order`'s. Raises InvalidOrder, and StaleOrder where `updatedAt` shows that the client's copy is old.
    """
    return _parse(_without_fixed(body, order), allowed=_PROBLEMS.keys(), required=_PROBLEMS.keys())


def parse_part(body: object, order: Order) -> Mapping[str, Any]:
    """The members of `order` to change: at least one of the five that can. Otherwise as `parse_whole`."""
    members = _parse(_without_fixed(body, order), allowed=_PROBLEMS.keys())
    if not members:
        raise InvalidOrder(f"Nothing to change: give at least one of {', '.join(_PROBLEMS)}.")
    return members


def _without_fixed(body: object, order: Order) -> object:
    if not isinstance(body, Mapping):
        return body
    if body.get("orderID", order.order_id) != order.order_id:
        raise InvalidOrder("An order keeps its id.", {"orderID": f"must be {order.order_id}"})
    if body.get("updatedAt", order.updated_at) != order.updated_at:
        raise StaleOrder(
            "The order has changed since you read it: read it again.",
            {"updatedAt": f"must be {order.updated_at}"},
        )
    return {name: value for name, value in body.items() if name not in ("orderID", "updatedAt")}


def _parse(body: object, *, allowed: Collection[str], required: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise InvalidOrder("The body must be a JSON object.")
    members = {name: "is required" for name in sorted(required) if name not in body}
    for name, value in body.items():
        problem = _PROBLEMS[name](value) if name in allowed else "can't be set here"
        if problem:
            members[name] = problem
    if members:
        raise InvalidOrder("The order is not valid.", members)
    return body


def moved(order: Order, changes: Mapping[str, Any], updated_at: str) -> Order:
    """`order` after `changes` (from `parse_part` or `parse_whole`); the very same one where nothing differs.

    A stage may only be followed by those that STAGES names, and not while the order stays on hold. A status
    that the new stage does not allow becomes the one the stage begins with, unless `changes` names one.
    Raises ForbiddenMove.
    """
    target = changes.get("orderStage", order.stage)
    overall = changes.get("overallStatus", order.overall_status)
    if target != order.stage:
        _check_step(order, target, stays_on_hold=order.overall_status == overall == ON_HOLD)
    stage = STAGES[target]
    after = replace(
        order,
        customer=changes.get("customer", order.customer),
        amount=changes.get("amount", order.amount),
        stage=target,
        payment_status=_status("paymentStatus", order.payment_status, stage.payments, target, changes),
        overall_status=_status("overallStatus", order.overall_status, stage.overalls, target, changes),
    )
    return order if after == order else replace(after, updated_at=updated_at)


def _check_step(order: Order, target: str, *, stays_on_hold: bool) -> None:
    following = STAGES[order.stage].following
    if target not in following:
        allowed = f"may only become {' or '.join(following)}" if following else "keeps its stage"
        raise ForbiddenMove(
            f"{order.order_id} can't go from {order.stage} to {target}.",
            {"orderStage": f"an order that is {order.stage} {allowed}"},
        )
    if stays_on_hold:
        raise ForbiddenMove(
            f"{order.order_id} is on hold and keeps its stage.",
            {"overallStatus": f"must be something other than {ON_HOLD} first"},
        )


def _status(
    member: str, current: str, allowed: tuple[str, ...], stage: str, changes: Mapping[str, Any]
) -> str:
    if member not in changes:
        return current if current in allowed else allowed[0]
    status: str = changes[member]
    if status not in allowed:
        raise ForbiddenMove(
            f"The {member} {status} does not go with the stage {stage}.",
            {member: f"an order that is {stage} allows {' or '.join(allowed)}"},
        )
    return status
