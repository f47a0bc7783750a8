"""State machines: the next state out of a table; a signal that the table has not for a state is an error."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

State = TypeVar("State", bound=Enum)
Signal = TypeVar("Signal", bound=Enum)


def following(table: Mapping[tuple[State, Signal], State], state: State, signal: Signal, who: str) -> State:
    """The state that `table` gives. Raises RuntimeError for a pair that it does not have."""
    try:
        return table[state, signal]
    except KeyError:
        raise RuntimeError(f"{who} that is {state.value} can't become {signal.value}") from None
