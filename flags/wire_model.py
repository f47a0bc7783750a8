"""What the flags' JSON is made of: the base of its models, the types of its members, errors as pointers."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from flags.errors import InvalidFlag
from flags.times import in_utc

MAX_ERRORS = 20
"""How many places one refusal names at most."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class WireModel(BaseModel):
    """Frozen, strict, camelCase in JSON and snake_case in Python; an unknown member is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, validate_by_name=True
    )

    @classmethod
    def parse(cls, data: object) -> Self:
        """The model that decoded JSON means. Raises InvalidFlag with a pointer to each bad place."""
        try:
            return cls.model_validate(data, by_alias=True, by_name=False)
        except ValidationError as error:
            raise InvalidFlag(list(_places(error))[:MAX_ERRORS]) from None

    @classmethod
    def wire_names(cls) -> frozenset[str]:
        """The members that the JSON object may have."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())

    def wire(self) -> dict[str, Any]:
        """The JSON object, every member with its value; `parse` gives the model back."""
        return self.model_dump(mode="json", by_alias=True)


def _places(error: ValidationError) -> Iterator[Mapping[str, str]]:
    for detail in error.errors(include_url=False, include_input=False):
        # Says only that another member is bad, which has an error of its own.
        if detail["type"] != "default_factory_not_called":
            message = "must be an object" if detail["type"] == "model_type" else detail["msg"]
            yield {"pointer": pointer(*detail["loc"]), "detail": message}


def pointer(*steps: str | int) -> str:
    """The JSON pointer (RFC 6901) of a place that lies `steps` below the root."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def printable(value: str) -> str:
    """`value`, refused where it holds a character of Unicode's category Cc."""
    if _CONTROL.search(value):
        raise PydanticCustomError("control_characters", "control characters are not allowed")
    return value


def _in_utc(value: str) -> str:
    normal = in_utc(value)
    if normal is None:
        raise PydanticCustomError("time", "must be a time of RFC 3339 such as 2026-11-20T10:30:00.123Z")
    return normal


def _three_decimals(value: float) -> float | int:
    if value.is_integer():
        return int(value)
    if round(value, 3) != value:
        raise PydanticCustomError("decimals", "must have at most three decimals")
    return value


def shortest(value: float) -> float | int:
    """A whole number as an integer, which JSON writes without a decimal point."""
    return int(value) if value.is_integer() else value


Name = Annotated[str, StringConstraints(pattern=re.compile(r"^[A-Za-z0-9_.\-]{1,64}\Z"))]
"""A component or a group."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(printable)]
"""A line of text that may be shown as it is."""

Timestamp = Annotated[str, AfterValidator(_in_utc)]
"""A time of RFC 3339, kept in UTC with milliseconds."""

Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(shortest), SerializeAsAny()]
"""A finite number; whole ones are kept, and so written, as integers, without a decimal point."""

Percentage = Annotated[
    float,
    Field(ge=0, le=100, allow_inf_nan=False),
    AfterValidator(_three_decimals),
    SerializeAsAny(),
]
"""0 to 100 in steps of 0.001: as fine as the buckets are (flags/decide/rollout.py)."""

Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(shortest), SerializeAsAny()]
"""A share of a whole, 0 to 1."""
