"""Who polls and who streams: one decision for one caller of one component (docs/protocol.md, section 8)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from flags.decide.caller import BY_SESSION, Caller
from flags.decide.flag import Flag
from flags.decide.modes import Mode
from flags.decide.rollout import in_cohort
from flags.decide.stages import POLLED, Stage


class Reason(StrEnum):
    """OpenFeature's resolution reasons (specification, section 1.4.7)."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    STALE = "STALE"
    ERROR = "ERROR"


class Cause(StrEnum):
    """What a reason alone does not say."""

    KILL_SWITCH = "kill_switch"
    AUTO_ROLLBACK = "auto_rollback"
    NO_SOURCE = "no_source"
    CLIENT_INCAPABLE = "client_incapable"
    USER_OPT_IN = "user_opt_in"
    USER_OPT_OUT = "user_opt_out"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"


class Decision(NamedTuple):
    """How the caller gets its events, and why. `stage` is None where the component has no flag."""

    mode: Mode
    stage: Stage | None
    reason: Reason
    cause: Cause | None = None

    @property
    def variant(self) -> str:
        """OpenFeature's name of the value: push is `on` or `off`."""
        return "on" if self.mode is Mode.STREAMING else "off"


class Drawn(Decision):
    """A decision of the percentage: it stays one where the reason is STALE."""

    __slots__ = ()


class _Terms(NamedTuple):
    """What a stage leaves to decide.

    `targeting` and `preferences` are the modes that a rule or the caller's own choice may still give;
    `default` is everybody else's, None where the percentage says.
    """

    targeting: frozenset[Mode]
    preferences: frozenset[Mode]
    default: Mode | None


_POLLING = frozenset({Mode.POLLING})
_STREAMING = frozenset({Mode.STREAMING})
_BOTH = _POLLING | _STREAMING

# Before `live` nobody streams, for push has no authority yet. From `rampdown` everybody streams, but a rule
# may still hold callers back while polling is answered, which ends with `complete`.
_TERMS: Mapping[Stage, _Terms] = MappingProxyType(
    {
        Stage.OFF: _Terms(_POLLING, _POLLING, Mode.POLLING),
        Stage.SHADOW: _Terms(_POLLING, _POLLING, Mode.POLLING),
        Stage.LIVE: _Terms(_BOTH, _BOTH, None),
        Stage.RAMPDOWN: _Terms(_BOTH, _STREAMING, Mode.STREAMING),
        Stage.COMPLETE: _Terms(_STREAMING, _STREAMING, Mode.STREAMING),
    }
)

BY_PERCENTAGE = frozenset(stage for stage, terms in _TERMS.items() if terms.default is None)
"""The stages in which a flag's percentage counts."""


def decide(
    flag: Flag | None, caller: Caller, *, kill_all: bool, stale: bool = False, has_source: bool = True
) -> Decision:
    """The caller's mode, with the first reason that applies, in the order of the protocol.

    `flag` is None where the component has none: it streams and polls freely, and only `kill_all` stops it.
    With `stale` (Flags.stale) the reason is STALE, whatever it would have been; the cause stays. Without
    `has_source` nothing makes the component's events, so that a stream would stay silent.
    """
    decision = _decide(flag, caller, kill_all, has_source)
    return decision._replace(reason=Reason.STALE) if stale else decision


def is_retired(flag: Flag | None, *, kill_all: bool) -> bool:
    """Whether the component's polling is over, so that the legacy path and the poll answer 410.

    Not while a kill switch or the latch sends everybody back to polling: it has to be there for them.
    """
    return (
        flag is not None
        and flag.stage not in POLLED
        and not (kill_all or flag.killed or flag.latch is not None)
    )


def lacks_session(flag: Flag, caller: Caller) -> bool:
    """Whether the flag's percentage can't place the caller, and could if that had a session.

    Whoever has chosen for itself needs none, and is to keep its choice, which goes by the key that it has.
    """
    is_keyless = caller.preference == "auto" and caller.key(flag.stickiness) is None
    return is_keyless and places_by_session(flag)


def places_by_session(flag: Flag) -> bool:
    """Whether the flag's percentage places callers, and a session would be a key for it."""
    return flag.stage in BY_PERCENTAGE and flag.percentage not in (0, 100) and flag.stickiness in BY_SESSION


def _decide(flag: Flag | None, caller: Caller, kill_all: bool, has_source: bool) -> Decision:
    stage = None if flag is None else flag.stage
    if kill_all or (flag is not None and flag.killed):
        return Decision(Mode.POLLING, stage, Reason.DISABLED, Cause.KILL_SWITCH)
    if flag is not None and flag.latch is not None:
        return Decision(Mode.POLLING, stage, Reason.DISABLED, Cause.AUTO_ROLLBACK)
    if not has_source:
        return Decision(Mode.POLLING, stage, Reason.STATIC, Cause.NO_SOURCE)
    if flag is None:
        return Decision(Mode.STREAMING, None, Reason.STATIC)
    if not caller.capable:
        return Decision(Mode.POLLING, flag.stage, Reason.TARGETING_MATCH, Cause.CLIENT_INCAPABLE)
    terms = _TERMS[flag.stage]
    chosen = _by_rule(flag, caller, terms) or _by_preference(flag, caller, terms)
    if chosen is not None:
        return chosen
    if terms.default is not None:
        return Decision(terms.default, flag.stage, Reason.DEFAULT)
    return _by_percentage(flag, caller)


def _by_rule(flag: Flag, caller: Caller, terms: _Terms) -> Decision | None:
    rule = next((rule for rule in flag.targeting if rule.matches(caller)), None)
    if rule is None or rule.mode not in terms.targeting:
        return None
    return Decision(rule.mode, flag.stage, Reason.TARGETING_MATCH)


def _by_preference(flag: Flag, caller: Caller, terms: _Terms) -> Decision | None:
    if caller.preference == "auto" or caller.preference not in terms.preferences:
        return None
    mode = Mode(caller.preference)
    cause = Cause.USER_OPT_IN if mode is Mode.STREAMING else Cause.USER_OPT_OUT
    return Decision(mode, flag.stage, Reason.TARGETING_MATCH, cause)


def _by_percentage(flag: Flag, caller: Caller) -> Decision:
    if flag.percentage in (0, 100):
        # Everybody or nobody: who the caller is makes no difference.
        streams = flag.percentage == 100
    else:
        value = caller.key(flag.stickiness)
        if value is None:
            return Decision(Mode.POLLING, flag.stage, Reason.ERROR, Cause.TARGETING_KEY_MISSING)
        streams = in_cohort(flag.group, value, flag.percentage)
    return Drawn(Mode.STREAMING if streams else Mode.POLLING, flag.stage, Reason.SPLIT)
