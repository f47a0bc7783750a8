"""Gives all who wait for the same thing their answer."""

from asyncio import Future
from typing import TypeVar

Value = TypeVar("Value")


def resolve(waiters: set[Future[Value]], value: Value) -> None:
    """Gives `value` to all that still wait; nobody waits any more."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(value)
    waiters.clear()
