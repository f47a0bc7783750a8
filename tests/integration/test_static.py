"""The browser client's files (docs/protocol.md, section 11)."""

import gzip
from pathlib import Path

import pytest

from gateway import static
from tests.support.api import Client, assert_problem
from tests.support.gateway import make_settings

FOLDER = Path(static.__file__).parent
CLIENT = "/static/package.json"
APP = "https://app.shop.example"


@pytest.fixture
def client(start_gateway):
    return Client(start_gateway(make_settings(cors={"origins": [APP]})).port)


@pytest.mark.parametrize(
    "file", sorted(f for f in FOLDER.rglob("*") if f.suffix in {".js", ".ts", ".css", ".json"})
)
async def test_every_file_of_the_client_is_served_as_it_stands(client, file):
    response = await client.get(f"/static/{file.relative_to(FOLDER).as_posix()}")

    assert (response.status, response.body) == (200, file.read_bytes())


async def test_a_module_is_sent_as_a_script_that_has_to_be_asked_for_anew(client):
    response = await client.get("/static/tidegate.js")

    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert "Accept-Encoding" in response.headers["Vary"]


async def test_a_file_is_compressed_for_those_who_can_have_it_so(client):
    response = await client.get(CLIENT, headers=[("Accept-Encoding", "br, gzip")])

    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body) == (FOLDER / "package.json").read_bytes()


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_file_that_is_still_the_same_is_a_304(client, coding):
    asked = ("Accept-Encoding", coding)
    tag = (await client.get(CLIENT, headers=[asked])).headers["ETag"]

    again = await client.get(CLIENT, headers=[asked, ("If-None-Match", tag)])

    assert (again.status, again.headers["ETag"], again.body) == (304, tag, b"")


async def test_a_page_of_an_allowed_origin_may_import_the_client(client):
    response = await client.get("/static/tidegate.js", headers=[("Origin", APP)])

    assert response.headers["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize(
    "path", ["/static", "/static/", "/static/__init__.py", "/static/../static/tidegate.js", "/static/parts/"]
)
async def test_nothing_else_is_served(client, path):
    assert_problem(await client.get(path), 404)


async def test_nobody_is_asked_for_a_token(start_gateway):
    auth = {"mode": "jwt", "secret": "0123456789abcdef0123456789abcdef"}
    port = start_gateway(make_settings(auth=auth)).port

    assert (await Client(port).get("/static/tidegate.js")).status == 200
    assert_problem(await Client(port).get("/readyz"), 401)
