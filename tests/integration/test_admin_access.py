"""Who may administer while there is no authentication (docs/protocol.md, section 8)."""

import pytest

from tests.support.admin import FLAGS, ORDERS, operator, refused
from tests.support.gateway import make_settings
from tests.support.http import connect


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_can_neither_read_nor_change(admin, headers):
    refused(await admin.http.get(FLAGS, headers=headers), 403)
    refused(await admin.http.put(ORDERS, json={"reason": "r"}, headers=headers), 403)
    refused(await admin.http.post("/api/v1/admin/kill", json={"reason": "r"}, headers=headers), 403)
    flags = (await admin.get(FLAGS)).json()
    assert (flags["killAll"], flags["flags"]) == (False, [])


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_what_a_page_may_send_without_asking_is_no_change(admin, kind):
    await admin.make()
    for path in (f"{ORDERS}/kill", f"{ORDERS}/rollback", "/api/v1/admin/kill"):
        response = await admin.http.post(path, content=b'{"reason": "r"}', headers={"Content-Type": kind})
        refused(response, 415)


async def test_a_page_that_asks_first_is_not_allowed(admin):
    response = await admin.http.options(
        ORDERS, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    )
    assert response.status_code >= 400
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8080"])
async def test_a_name_that_was_made_to_point_here_is_refused(admin, host):
    refused(await admin.http.get(FLAGS, headers={"Host": host}), 421)


@pytest.mark.parametrize("host", ["", "[::", "evil@localhost", "localhost/.evil", "localhost evil", "a:b"])
async def test_what_is_no_host_is_refused(admin, host):
    refused(await admin.http.get(FLAGS, headers={"Host": host}), 400)


async def test_a_name_that_the_gateway_answers_to_is_no_name_of_loopback(start_gateway):
    gateway = start_gateway(make_settings(server={"hosts": ["gateway"]}))
    async with operator(gateway.port) as admin:
        refused(await admin.http.get(FLAGS, headers={"Host": "gateway"}), 403)


async def test_the_target_s_own_host_counts_before_the_field(admin):
    async with connect(admin.http.base_url.port) as connection:
        await connection.send(f"GET http://evil.example{FLAGS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await connection.response()).status == 421
        await connection.send(f"GET http://localhost{FLAGS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await connection.response()).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.2:9000", "[::1]:8080"])
async def test_the_names_of_loopback_are_served(admin, host):
    assert (await admin.http.get(FLAGS, headers={"Host": host})).status_code == 200


async def test_the_gateways_own_page_may_change_flags(admin):
    headers = {"Origin": str(admin.http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    response = await admin.http.put(ORDERS, json={"reason": "r"}, headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
        *("X-Client-IP", "CF-Connecting-IP", "True-Client-IP", "CF-Visitor", "Incap-Client-IP", "X-Real_IP"),
        *("X-Forwarded", "Forwarded-For", "X-HTTP-Forwarded-For", "X-Remote-Addr", "X-Originating-IP"),
        *("WL-Proxy-Client-IP", "X-Nginx-Proxy", "X-Azure-SocketIP", "X-Sucuri-ClientIP", "X-Original-URI"),
    ],
)
async def test_what_a_proxy_passes_on_is_refused(admin, header):
    refused(await admin.http.get(FLAGS, headers={header: "127.0.0.1"}), 403)


async def test_what_a_program_says_of_itself_is_no_proxy_s(admin):
    own = {"Tidegate-Client": "app/1", "Tidegate-Client-Id": "c", "Tidegate-Operator": "ann"}
    assert (await admin.http.get(FLAGS, headers=own)).status_code == 200


@pytest.mark.parametrize("name", ["", "x" * 101, "\u00fcmit"])
async def test_an_operator_whose_name_can_not_be_kept_is_refused(admin, name):
    headers = {"Tidegate-Operator": name.encode()}
    response = await admin.http.put(ORDERS, json={"reason": "r"}, headers=headers)
    refused(response, 400, "Tidegate-Operator")
    refused(await admin.get(ORDERS), 404)
