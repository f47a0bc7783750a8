"""Requests that are alike but for their caller's own words: nobody gets anything of another's."""

import pytest

from tests.support.admin import operator
from tests.support.api import EVENTS, Client
from tests.support.flags import rule
from tests.support.gateway import EVERY_WAY, make_settings
from tests.support.http import connect
from tests.support.tokens import auth_settings, bearer, mint

CURSOR = ("Last-Event-ID", "a.1-1")


@EVERY_WAY
@pytest.mark.parametrize(
    ("target", "words"),
    [
        (f"{EVENTS}?clientId=ana", ["ana"]),
        (EVENTS, ["a.1-1"]),
        (EVENTS, [None]),
        (f"{EVENTS}?clientId=ana", ["ana", "a.1-1", None]),
        (f"{EVENTS}?attempt=try", ["try"]),
        (f"{EVENTS}?attempt=try&clientId=ana", ["try", "ana"]),
    ],
)
async def test_a_nul_stands_for_nobodys_words(start_gateway, way, target, words):
    token = mint("ana", subscribe=["order"])
    client = Client(start_gateway(make_settings(auth=auth_settings()), way=way).port)
    for _ in range(2):
        async with client.stream(path=target, headers=[CURSOR, bearer(token)]) as stream:
            await stream.connected()
    given = [("Host", "localhost"), CURSOR, bearer(token)]
    head = "\r\n".join([f"GET {target} HTTP/1.1", *(": ".join(field) for field in given), "", ""])
    for word in words:
        head = head.replace(word or token, "\0")
    async with connect(client.port) as connection:
        await connection.send(head.encode())
        status, fields = await connection.head()
        assert (status, fields["Content-Type"]) == (400, "application/problem+json")


@EVERY_WAY
async def test_of_two_client_ids_the_first_counts_however_it_is_spelt(start_gateway, way, tmp_path):
    store, orders = {"store": f"file:{tmp_path / 'flags.json'}"}, {"orders": {"entities": ["order"]}}
    gateway = start_gateway(make_settings(flags=store, components=orders), way=way)
    client = Client(gateway.port)
    async with operator(gateway.port) as admin:
        await admin.make(stage="live", percentage=0, targeting=[rule("client", "eq", "ana", "streaming")])
    for second in ("ben", "carl"):
        path = f"{EVENTS}?component=orders&client%49d=ana&clientId={second}"
        async with client.stream(path=path) as stream:
            await stream.connected()


@EVERY_WAY
async def test_a_head_is_as_large_as_its_own_words_make_it(start_gateway, way):
    settings = make_settings(auth=auth_settings(), limits={"head_bytes": 2048})
    client = Client(start_gateway(settings, way=way).port)
    async with client.stream(headers=[bearer(mint("ana", subscribe=["order"]))]) as stream:
        await stream.connected()
    long = mint("ana", subscribe=["order"], claims={"more": "x" * 2048})
    async with connect(client.port) as connection:
        await connection.request("GET", EVENTS, headers=[bearer(long)])
        assert (await connection.head())[0] == 431
