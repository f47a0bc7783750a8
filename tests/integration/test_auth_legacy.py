"""Legacy routes where callers have tokens (docs/protocol.md, sections 7 and 9)."""

import pytest

from tests.support.api import Client, assert_problem, eventually
from tests.support.gateway import make_settings
from tests.support.legacy import PATH, listed, order, route_settings
from tests.support.tokens import auth_settings, bearer, mint, static_key

LIST = listed(order("1", stage="new"), order("2", stage="old"))
OWN = listed(order("1", stage="new"))
OF_SNAPSHOT = {"Sync-Cursor", "Link", "Age"}

COVERING = [["*"], ["order"], ["order", "job:1"], [{"entity": "order"}]]
PARTIAL = [
    [],
    ["job"],
    ["global"],
    ["order:1"],
    ["order:stage=eq.new"],
    ["order:stage=eq.new", "order:stage=neq.new"],
    [{"entity": "order", "members": ["stage"]}],
    [{"entity": "*", "members": ["stage"]}],
]


@pytest.fixture
def gateway(start_gateway, backend):
    backend.says(LIST, ETag='"upstream"')
    return start_gateway(
        make_settings(auth=auth_settings(query_token=True), legacy=[route_settings(backend.url, 3600.0)])
    )


@pytest.mark.parametrize("subscribe", COVERING, ids=repr)
async def test_who_may_see_all_is_answered_from_the_snapshot(gateway, backend, subscribe):
    client = Client(gateway.port, mint(subscribe=subscribe))
    first, second = await client.get(PATH), await client.get(PATH)
    assert first.body == second.body == LIST
    assert len(backend.asked) == 1
    assert second.headers.keys() >= OF_SNAPSHOT
    not_modified = await client.get(PATH, headers=[("If-None-Match", second.headers["ETag"])])
    assert not_modified.status == 304


@pytest.mark.parametrize("subscribe", PARTIAL, ids=repr)
async def test_who_may_not_see_all_goes_through_with_its_own_credentials(gateway, backend, subscribe):
    covering = await Client(gateway.port, mint(subscribe=["order"])).get(PATH)
    backend.says(OWN)
    token = mint("customer", subscribe=subscribe)
    condition = ("If-None-Match", covering.headers["ETag"])
    answer = await Client(gateway.port, token).get(PATH, headers=[condition])
    assert (answer.status, answer.body) == (200, OWN)
    assert not answer.headers.keys() & OF_SNAPSHOT
    assert answer.headers["Cache-Status"] == "tidegate; fwd=bypass"
    assert backend.asked[-1].headers["Authorization"] == f"Bearer {token}"


async def test_whom_nobody_knows_gets_nothing_and_the_upstream_is_not_asked(gateway, backend):
    await Client(gateway.port, mint(subscribe=["order"])).get(PATH)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        for path in (PATH, f"{PATH}/1", f"{PATH}?page=2"):
            answer = await Client(gateway.port).request(method, path)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert not answer.headers.keys() & OF_SNAPSHOT
    assert len(backend.asked) == 1


async def test_a_wrong_token_is_not_passed_on(gateway, backend):
    answer = await Client(gateway.port, "the-upstreams-own").get(f"{PATH}/1")
    assert_problem(answer, 401)
    assert backend.asked == []


async def test_a_write_goes_through_with_the_caller_s_own_credentials(gateway, backend):
    token = mint("customer")
    answer = await Client(gateway.port, token).request("POST", f"{PATH}/1", body=b"{}")
    assert answer.status == 200
    (asked,) = backend.asked
    assert (asked.method, asked.headers["Authorization"]) == ("POST", f"Bearer {token}")


async def test_a_token_in_the_query_goes_no_further(gateway, backend):
    token = mint("customer")
    for query in (
        f"access_token={token}&page=2",
        f"page=2&access%5Ftoken={token}",
        f"page=2&access_token={token}&",
    ):
        answer = await Client(gateway.port).get(f"{PATH}/1?{query}")
        assert answer.status == 200
        assert backend.asked[-1].target.rstrip("&") == "/orders/1?page=2"
        assert token not in repr(backend.asked[-1].headers)


async def test_a_token_in_the_query_is_no_question_that_only_the_upstream_can_answer(gateway, backend):
    client, query = Client(gateway.port), {"access_token": mint(subscribe=["order"])}
    await client.get(PATH, query)
    answer = await client.get(PATH, query)
    assert answer.headers.keys() >= OF_SNAPSHOT
    assert query["access_token"] not in repr(answer.headers.items())
    assert len(backend.asked) == 1


async def test_a_parameter_of_that_name_is_the_upstream_s_where_no_token_may_be_in_the_query(
    start_gateway, backend
):
    settings = make_settings(auth=auth_settings(), legacy=[route_settings(backend.url, 3600.0)])
    client = Client(start_gateway(settings).port, mint(subscribe=["order"]))
    await client.get(f"{PATH}?access_token=the-upstreams-own")
    assert backend.asked[-1].target == "/orders?access_token=the-upstreams-own"


async def test_credentials_of_another_scheme_are_the_upstream_s(start_gateway, backend):
    settings = make_settings(
        auth=auth_settings(cookie="session"), legacy=[route_settings(backend.url, 3600.0)]
    )
    client = Client(start_gateway(settings).port)
    basic = ("Authorization", "Basic YTpi")
    assert_problem(await client.get(PATH, headers=[basic]), 401)
    token = mint("customer")
    answer = await client.get(PATH, headers=[basic, ("Cookie", f"session={token}")])
    assert answer.status == 200
    assert backend.asked[-1].headers["Authorization"] == "Basic YTpi"
    assert backend.asked[-1].headers["Cookie"] == f"session={token}"


async def test_a_static_key_goes_no_further(start_gateway, backend):
    key, settings = static_key("billing")
    auth = auth_settings(keys=[settings])
    client = Client(
        start_gateway(make_settings(auth=auth, legacy=[route_settings(backend.url, 3600.0)])).port
    )
    answer = await client.get(f"{PATH}/1", headers=[bearer(key)])
    assert answer.status == 200
    assert "Authorization" not in backend.asked[-1].headers


async def test_only_credentials_that_go_further_make_an_answer_the_caller_s_own(start_gateway, backend):
    text, entry = static_key("backend", subscribe=["order"])
    backend.says(LIST, Vary="Authorization, Cookie")
    settings = make_settings(auth=auth_settings(keys=[entry]), legacy=[route_settings(backend.url, 3600.0)])
    port = start_gateway(settings).port
    by_key = await Client(port, text).get(PATH)
    by_token = await Client(port, mint(subscribe=["order"])).get(PATH)

    assert by_key.headers["Cache-Status"] == "tidegate; fwd=miss"
    assert by_token.headers["Cache-Status"] == "tidegate; fwd=vary-miss"
    assert "Sync-Cursor" not in by_token.headers


@pytest.mark.parametrize(("subscribe", "is_named"), [(["order:1"], True), (["job"], False), ([], False)])
async def test_where_answers_are_the_caller_s_own_a_stream_of_its_own_stands_for_them(
    start_gateway, backend, subscribe, is_named
):
    backend.says(OWN)
    settings = make_settings(auth=auth_settings(), legacy=[route_settings(backend.url, 3600.0, shared=False)])
    answer = await Client(start_gateway(settings).port, mint(subscribe=subscribe)).get(PATH)
    assert (answer.status, answer.body) == (200, OWN)
    assert ("Link" in answer.headers) is is_named


async def test_the_link_of_a_snapshot_leads_its_caller_on_without_a_reset(gateway, backend):
    client = Client(gateway.port, mint(subscribe=["order"]))
    link = (await client.get(PATH)).headers["Link"]
    async with client.stream(path=link.partition("<")[2].partition(">")[0]) as stream:
        connected = await stream.connected()
        assert connected.data["recovered"] is True


async def test_who_goes_through_polls_no_snapshot(gateway):
    admin = Client(gateway.port, mint(admin=True))
    await Client(gateway.port, mint(subscribe=["order"])).get(PATH)
    await Client(gateway.port, mint(subscribe=["order"])).get(PATH)
    await Client(gateway.port, mint(subscribe=["order:1"])).get(PATH)
    await Client(gateway.port).get(PATH)

    async def counted():
        answer = await admin.get("/api/v1/admin/flags/orders/pollers")
        return sum(poller["polls"] for poller in answer.json["pollers"]) == 3

    await eventually(counted, "three polls, and not that of whom nobody knows")
