"""What of a request goes on once its caller is known (tests/integration/test_admittance.py has the rest)."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.access.authentication import Authentication
from gateway.access.principal import OPEN, Principal
from gateway.access.rights import Rights
from gateway.access.static_keys import StaticKeys
from gateway.http.admittance import Admittance, query_beside_token
from gateway.http.hosts import Hosts
from gateway.http.principal import PRINCIPAL, principal_of


class AnyToken:
    """Takes every token for one without claims."""

    async def claims(self, token: str) -> Mapping[str, Any]:
        return self.claims_at_once(token)

    def claims_at_once(self, token: str) -> Mapping[str, Any]:
        return {"exp": 1}


def door(**options: Any) -> Admittance:
    authentication = Authentication(AnyToken(), StaticKeys({}), Rights())
    return Admittance(authentication, Hosts(None), lambda credentials: None, **options)


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("access_token=t", ""),
        ("access_token=t&a=1", "a=1"),
        ("a=1&access_token=t&b=%26+x", "a=1&b=%26+x"),
        ("a=1&access%5Ftoken=t", "a=1"),
        (
            "access_token=t&access_tokens=1&xaccess_token=2&ACCESS_TOKEN=3",
            "access_tokens=1&xaccess_token=2&ACCESS_TOKEN=3",
        ),
        ("access_token=a%26access_token=t", ""),
        ("a=access_token=1&access_token=t", "a=access_token=1"),
    ],
)
async def test_what_goes_on_of_a_query_is_all_but_the_token_as_it_came(query: str, rest: str) -> None:
    request = make_mocked_request("GET", f"/orders?{query}")
    await door(takes_parameter=True).admit(request)
    assert query_beside_token(request) == rest


async def test_where_no_token_in_a_query_counts_all_of_it_goes_on() -> None:
    request = make_mocked_request("GET", "/orders?access_token=t", headers={"Authorization": "Bearer t"})
    await door().admit(request)
    assert query_beside_token(request) == "access_token=t"


async def test_without_authentication_whoever_comes_may_do_everything() -> None:
    request = make_mocked_request("GET", "/orders")
    await Admittance(None, Hosts(None), lambda credentials: None).admit(request)
    assert principal_of(request) is OPEN


def test_who_was_not_let_in_is_nobody() -> None:
    request = make_mocked_request("GET", "/orders")
    with pytest.raises(KeyError):
        principal_of(request)
    request[PRINCIPAL] = Principal()
    assert principal_of(request) == Principal()
