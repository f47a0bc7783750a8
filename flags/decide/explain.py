"""Why a caller gets what it gets, in a sentence for people. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flags.decide.caller import Caller
from flags.decide.decision import Cause, Decision, Reason, decide, lacks_session
from flags.decide.flag import Flag, Flags
from flags.decide.rollout import bucket
from flags.decide.stages import NO_SOURCE
from flags.decide.targeting import Rule


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision for one caller of one component, and `why`.

    `key` is what the caller is bucketed by, `key_from` the attribute that it is, and `bucket` (0 to 99,999)
    where that puts it; None where the caller has no key, or the component no flag.
    """

    component: str
    decision: Decision
    revision: int | None
    why: str
    key: str | None
    key_from: str | None
    bucket: int | None


_IN_WORDS: Mapping[str, str] = MappingProxyType({"user": "user id", "client": "client id"})


def explain(
    flags: Flags, component: str, caller: Caller, *, gives_sessions: bool = False, has_source: bool = True
) -> Explanation:
    """What `decide` says of the caller under these flags, and why.

    `gives_sessions` says whether the gateway gives one to whoever lacks it: then that is in the sentence.
    `has_source` is as in `decide`.
    """
    flag = flags.get(component)
    # The reason of a decision from stale flags hides the one that is to be explained.
    decision = decide(flag, caller, kill_all=flags.kill_all, has_source=has_source)
    why = _why(flag, caller, decision, flags.kill_all)
    if (
        gives_sessions
        and decision.cause is Cause.TARGETING_KEY_MISSING
        and flag
        and lacks_session(flag, caller)
    ):
        why += " The gateway gives such a caller a session, which places it if its client keeps cookies."
    if flags.stale:
        decision = decide(flag, caller, kill_all=flags.kill_all, stale=True, has_source=has_source)
        why += " The flags' store can't be used now: these are the last good flags."
    key = None if flag is None else caller.key(flag.stickiness)
    return Explanation(
        component=component,
        decision=decision,
        revision=None if flag is None else flag.revision,
        why=why,
        key=key,
        key_from=None if flag is None else caller.key_from(flag.stickiness),
        bucket=None if flag is None or key is None else bucket(flag.group, key),
    )


def _why(flag: Flag | None, caller: Caller, decision: Decision, kill_all: bool) -> str:
    if kill_all:
        return "The kill switch for everything is on."
    if decision.cause is Cause.NO_SOURCE:
        return f"Nothing makes its events: {NO_SOURCE}."
    if flag is None:
        return "The component has no flag: it streams and polls freely."
    match decision.cause:
        case Cause.KILL_SWITCH:
            return "The component's kill switch is on."
        case Cause.AUTO_ROLLBACK:
            # The guard's reason is a sentence, but one that an operator wrote need not be.
            reason = "" if flag.latch is None else f" at {flag.latch.at}: {flag.latch.reason.rstrip('.')}"
            return f"The guard took the component back{reason}. It holds until somebody re-arms it."
        case Cause.CLIENT_INCAPABLE:
            return "The client can't take a stream."
        case Cause.USER_OPT_IN | Cause.USER_OPT_OUT:
            return f"The caller chose {caller.preference} for itself."
        case Cause.TARGETING_KEY_MISSING:
            return f"The caller has nothing to be bucketed by (stickiness {flag.stickiness})."
        case None:
            return _why_without_cause(flag, caller, decision)


def _why_without_cause(flag: Flag, caller: Caller, decision: Decision) -> str:
    if decision.reason is Reason.TARGETING_MATCH:
        number, rule = next(
            (number, rule) for number, rule in enumerate(flag.targeting, 1) if rule.matches(caller)
        )
        return f"Rule {number} of the targeting matches: {_rule(rule)}."
    if decision.reason is Reason.SPLIT:
        if flag.percentage in (0, 100):
            return f"{'All' if flag.percentage else 'None'} of the callers stream ({flag.percentage:g} %)."
        place = bucket(flag.group, caller.key(flag.stickiness) or "")
        limit = round(flag.percentage * 1000)
        side = "below" if place < limit else "not below"
        key = caller.key_from(flag.stickiness) or ""
        return (
            f"Its bucket {place} is {side} {limit}: {flag.percentage:g} % of the callers stream. "
            f"Its key is its {_IN_WORDS.get(key, key)}."
        )
    return f"In the stage {flag.stage} this is what everybody gets."


def _rule(rule: Rule) -> str:
    operand = ", ".join(rule.values or ()) if rule.value is None else rule.value
    return f"{rule.attribute} {rule.operator} {operand}"
