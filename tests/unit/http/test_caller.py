"""gateway/http/caller.py: of whom it is remembered that they came (tests/integration has the rest)."""

from typing import Any

from aiohttp.test_utils import make_mocked_request

from flags.decide.caller import Caller
from flags.decide.modes import Preference
from gateway.access.principal import Principal
from gateway.http.caller import Callers
from gateway.http.principal import PRINCIPAL


class NoPreferences:
    """Nobody has chosen anything."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    has_none = True

    def at_once(self, key: str) -> Preference:
        return "auto"

    async def get(self, key: str) -> Preference:
        return "auto"

    async def put(self, key: str, delivery: Preference) -> None: ...


def come(callers: Callers, **claims: Any) -> Caller:
    request = make_mocked_request("GET", "/")
    request[PRINCIPAL] = Principal(claims=claims)
    return callers.identity(request)


def test_equal_callers_are_one_object() -> None:
    callers = Callers(NoPreferences(), max_kept=3)
    first = come(callers, role="driver", jti="1", exp=5)
    assert come(callers, role="driver", jti="2", exp=9) is first
    assert come(callers, role="cook") is not first


def test_a_caller_with_large_claims_counts_for_several() -> None:
    callers = Callers(NoPreferences(), max_kept=20)
    first = come(callers, role="driver")
    come(callers, role="cook")
    assert come(callers, role="driver") is first
    for number in range(3):
        come(callers, groups=[f"group-{number}-{member}" for member in range(60)])
    assert come(callers, role="driver") is not first
