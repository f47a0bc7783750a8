"""The people who work on the demo's orders: now and then one of them moves an order along."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.demo.orders import LAST_STAGE, ON_HOLD, STAGES, Order
from gateway.demo.outbox import OutboxFull
from gateway.demo.store import OrderStore

CUSTOMERS = (
    "Ada Berg",
    "Bruno Costa",
    "Chiara Conti",
    "Dag Nilsen",
    "Eva Novak",
    "Femke de Vries",
    "Goran Ilic",
    "Hanna Weber",
    "Ines Moreau",
    "Jan Kowalski",
    "Klara Lind",
    "Liam Byrne",
)

FEWEST_ORDERS = 8
MOST_ORDERS = 14
"""Between these the number of orders stays, if it begins there, so that all of them fit on a page."""


class Step(NamedTuple):
    """What one step did, and to which order."""

    action: str
    order_id: str


class _Choice(NamedTuple):
    weight: int
    orders: Sequence[Order]
    act: Callable[[OrderStore, random.Random, Order], Step]


def create(store: OrderStore, rng: random.Random) -> Step:
    """Creates an order with a customer and an amount out of `rng`."""
    amount = rng.randrange(1_000, 250_000) / 100
    order = store.create({"customer": rng.choice(CUSTOMERS), "amount": amount})
    return Step("create", order.order_id)


def fill(store: OrderStore, rng: random.Random, count: int) -> None:
    """Creates `count` orders and moves each some way along, so that all stages are there."""
    for index in range(count):
        order_id = create(store, rng).order_id
        for _ in range(index % len(STAGES)):
            _advance(store, rng, store.get(order_id))


def step(store: OrderStore, rng: random.Random) -> Step:
    """Does one thing that is possible now: mostly moves an order along, sometimes creates or deletes one.

    Only paid orders are deleted. The same store and the same state of `rng` give the same step.
    """
    orders = store.all()
    if len(orders) < FEWEST_ORDERS:
        return create(store, rng)
    # Never empty: an order is paid, on hold or movable.
    possible = [choice for choice in _choices(orders) if choice.orders]
    choice = rng.choices(possible, weights=[choice.weight for choice in possible])[0]
    return choice.act(store, rng, rng.choice(choice.orders))


def _choices(orders: Sequence[Order]) -> Sequence[_Choice]:
    held = [order for order in orders if order.overall_status == ON_HOLD]
    at_work = [order for order in orders if order.overall_status == "active"]
    movable = [order for order in orders if order.overall_status != ON_HOLD and order.stage != LAST_STAGE]
    billed = [order for order in at_work if order.stage == "billed"]
    paid = [order for order in orders if order.stage == LAST_STAGE]
    return (
        _Choice(60, movable, _advance),
        _Choice(12, billed, _payment),
        _Choice(6, at_work, _hold),
        _Choice(12, held, _release),
        # Any order stands for "there is room": what is created does not depend on it.
        _Choice(10, orders if len(orders) < MOST_ORDERS else (), _create_another),
        _Choice(10 if len(orders) < MOST_ORDERS else 40, paid, _delete),
    )


def _create_another(store: OrderStore, rng: random.Random, _order: Order) -> Step:
    return create(store, rng)


def _advance(store: OrderStore, _rng: random.Random, order: Order) -> Step:
    store.update(order.order_id, {"orderStage": STAGES[order.stage].following[0]})
    return Step("advance", order.order_id)


def _payment(store: OrderStore, _rng: random.Random, order: Order) -> Step:
    status = "failed" if order.payment_status == "pending" else "pending"
    store.update(order.order_id, {"paymentStatus": status})
    return Step("payment", order.order_id)


def _hold(store: OrderStore, _rng: random.Random, order: Order) -> Step:
    store.update(order.order_id, {"overallStatus": ON_HOLD})
    return Step("hold", order.order_id)


def _release(store: OrderStore, _rng: random.Random, order: Order) -> Step:
    store.update(order.order_id, {"overallStatus": "active"})
    return Step("release", order.order_id)


def _delete(store: OrderStore, _rng: random.Random, order: Order) -> Step:
    store.delete(order.order_id)
    return Step("delete", order.order_id)


async def run(
    store: OrderStore,
    rng: random.Random,
    every_seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Takes a step every `every_seconds` (over 0) on average, the first after a pause, until it is cancelled.

    A pause lasts half as long to half as long again: people keep no step with whoever polls their work.
    """
    while True:
        await sleep(every_seconds * rng.uniform(0.5, 1.5))
        # People whose change was refused for now try again later; that is the next step.
        with contextlib.suppress(OutboxFull):
            step(store, rng)
