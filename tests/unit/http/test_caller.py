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


def come(callers: Callers, principal: Principal | None = None, **claims: Any) -> Caller:
    request = make_mocked_request("GET", "/")
    request[PRINCIPAL] = principal or Principal(claims=claims)
    return callers.identity(request)


def test_tokens_of_one_user_make_equal_callers() -> None:
    callers = Callers(NoPreferences())
    first = come(callers, role="driver", jti="1", exp=5)
    assert come(callers, role="driver", jti="2", exp=9) == first
    assert come(callers, role="cook") != first


def test_a_principal_that_comes_again_is_read_once() -> None:
    callers = Callers(NoPreferences())
    driver, twin = Principal(claims={"role": "driver"}), Principal(claims={"role": "driver"})
    first = come(callers, driver)
    assert come(callers, driver).claims is first.claims
    assert come(callers, twin).claims is not first.claims


def test_a_principal_with_large_claims_counts_for_several() -> None:
    callers = Callers(NoPreferences(), max_kept=20)
    driver = Principal(claims={"role": "driver"})
    first = come(callers, driver)
    come(callers, role="cook")
    assert come(callers, driver).claims is first.claims
    for number in range(3):
        come(callers, groups=[f"group-{number}-{member}" for member in range(60)])
    for number in range(9):
        come(callers, role=f"role-{number}")
    assert come(callers, driver).claims is not first.claims
