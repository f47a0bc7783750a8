"""The operator's rules: callers with these attributes stream, callers with those poll."""

import operator
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from flags.decide.caller import CLAIM, Caller
from flags.decide.modes import Mode
from flags.decide.versions import Version
from flags.wire_model import Text, WireModel

MAX_RULES = 100
MAX_VALUES = 1000

_ATTRIBUTES = frozenset({"user", "session", "client", "tenant", "clientVersion"})
_STICKINESS = frozenset({"default", "user", "session", "client", "tenant"})
_CLAIM = re.compile(CLAIM + r"[^\x00-\x1f\x7f-\x9f]{1,128}\Z")

_VERSIONS: Mapping[str, Callable[[Version, Version], bool]] = MappingProxyType(
    {"gte": operator.ge, "lt": operator.lt}
)
_LISTS = frozenset({"in", "notIn"})
OF_ONE_CALLER = frozenset({"default", "user", "session", "client"})
"""The stickiness by which each caller is drawn by itself. By any other, callers are drawn together."""


def _known(value: str, names: frozenset[str]) -> str:
    if value not in names and not _CLAIM.match(value):
        known = ", ".join(sorted(names))
        raise PydanticCustomError("unknown", "must be one of {known}, or claim:NAME", {"known": known})
    return value


def _attribute(value: str) -> str:
    return _known(value, _ATTRIBUTES)


def _stickiness(value: str) -> str:
    return _known(value, _STICKINESS)


Attribute = Annotated[str, AfterValidator(_attribute)]
"""What a rule may ask about."""

Stickiness = Annotated[str, AfterValidator(_stickiness)]
"""What may keep a caller in its bucket (Caller.key)."""


Values = Annotated[tuple[Text, ...], Field(strict=False, min_length=1, max_length=MAX_VALUES)]


class Rule(WireModel):
    """One rule: the callers that it matches get `mode`.

    `in` and `notIn` take `values`, the other operators `value`. `gte` and `lt` compare versions
    (flags/decide/versions.py) and exist for `clientVersion` alone; all others compare text. An attribute with
    several values matches `eq`, `in` and `startsWith` when one of them does, `neq` and `notIn` when all do.
    """

    attribute: Attribute
    operator: Literal["eq", "neq", "in", "notIn", "startsWith", "gte", "lt"]
    value: Text | None = None
    values: Values | None = None
    mode: Annotated[Mode, Field(strict=False)]

    @model_validator(mode="after")
    def _operands_fit(self) -> Self:
        wanted, other = ("values", "value") if self.operator in _LISTS else ("value", "values")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise PydanticCustomError(
                "operand",
                "{operator} takes {wanted}, and no {other}",
                {"operator": self.operator, "wanted": wanted, "other": other},
            )
        if self.operator in _VERSIONS:
            if self.attribute != "clientVersion":
                raise PydanticCustomError("version", "only clientVersion has an order: use another operator")
            if self._version is None:
                raise PydanticCustomError("version", "value must be a version such as 2.10.1")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @cached_property
    def _version(self) -> Version | None:
        return None if self.value is None else Version.parse(self.value)

    @cached_property
    def _operands(self) -> frozenset[str]:
        return frozenset(self.values or ())

    def matches(self, caller: Caller) -> bool:
        """Whether the rule is about `caller`.

        Never where the caller lacks the attribute, also for `neq` and `notIn`: a rule about users says
        nothing of a caller without one. Nor where a version that it compares is none.
        """
        found = caller.values(self.attribute)
        if not found:
            return False
        match self.operator:
            case "eq":
                return self.value in found
            case "neq":
                return self.value not in found
            case "in":
                return not self._operands.isdisjoint(found)
            case "notIn":
                return self._operands.isdisjoint(found)
            case "startsWith":
                return any(value.startswith(self.value or "") for value in found)
            case _:
                version = Version.parse(found[0])
                if version is None or self._version is None:
                    return False
                return _VERSIONS[self.operator](version, self._version)
