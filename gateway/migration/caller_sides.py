"""Who a caller is as evidence, and on which side of a rollout it is."""

from flags.decide.caller import Caller
from flags.decide.decision import Decision, Drawn
from flags.decide.modes import Mode
from flags.guard.callers import Side
from flags.guard.who import Who
from gateway.core.networks import network_of

_BY_CHANCE = {Mode.STREAMING: Side.TREATED, Mode.POLLING: Side.CONTROL}
_OTHERWISE = {Mode.STREAMING: Side.STREAMING, Mode.POLLING: Side.POLLING}


def key_of(subject: str | None, caller: Caller | None, address: str | None) -> str:
    """What tells the caller from all others: its name where a token proves it, else its key, else its
    address."""
    if subject is not None:
        return f"s:{subject}"
    key = None if caller is None else caller.key("default")
    return f"a:{network_of(address) or ''}" if key is None else f"k:{key}"


def who_of(subject: str | None, caller: Caller | None, address: str | None) -> Who:
    """The caller as one who counts. An address bounds how many do whom no token names."""
    key = key_of(subject, caller, address)
    return Who(key) if subject is not None else Who(key, network_of(address) or "")


def side_of(decision: Decision) -> Side:
    """The side that was drawn for a caller by the percentage; another where a rule, a choice or the stage
    says."""
    sides = _BY_CHANCE if isinstance(decision, Drawn) else _OTHERWISE
    return sides[decision.mode]
