"""gateway/service/legacy_settings.py: what can be set of a route, and what does not go together."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import ConfigError
from gateway.ports.legacy_route import Functions, Pages, UpstreamTls
from gateway.service.config import load_settings
from gateway.service.legacy_settings import LegacySettings
from gateway.service.settings import Settings
from gateway.service.wiring.routes import routes_of

ROUTE: dict[str, Any] = {
    "component": "orders",
    "path": "/api/v1/orders",
    "upstream": "https://backend.example/orders",
    "entity": "order",
    "key": "orderID",
    "shared": True,
}
WITHOUT_KEY = {name: value for name, value in ROUTE.items() if name != "key"}
TEMPLATE = {
    **ROUTE,
    "path": "/api/customers/{customer}/orders",
    "upstream": "https://backend.example/c/{customer}/o",
}
EVERYTHING: dict[str, Any] = {
    **TEMPLATE,
    "key": ["/metadata/uid", "customer"],
    "headers": {"Authorization": "Bearer hunter2"},
    "query": "limit=500&token=hunter2",
    "method": "POST",
    "body": '{"secret": "hunter2"}',
    "content_type": "application/graphql+json",
    "public_url": "https://API.shop.example:443",
    "ca_file": "tls/ca.pem",
    "cert_file": "/etc/cert.pem",
    "key_file": "key.pem",
    "follow_redirects": True,
    "pages": {"next": "/next"},
    "max_pages": 7,
    "also": ["/c/{customer}/closed", "https://backend.example:443/c/{customer}/o/old"],
    "empty": ["null", "absent", 204, 404, 204],
    "ignore": ["/ageMs", "/links/*"],
    "deleted": "/archived",
    "changes": {"/status/phase": "phase_change", "orderStage": "stage_change"},
    "decode": "shop.orders:decode",
    "map": "shop:map",
    "vary_query": ["status", "status"],
    "ignore_query": ["_"],
    "max_variants": 20,
    "reads": ["POST /api/customers/*/orders/search", "PUT /api/customers/*/orders"],
    "write_poll_seconds": 0.5,
}


def problem(*routes: dict[str, Any]) -> str:
    """Where the first thing is wrong, and what is wrong with it."""
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate({"legacy": routes})
    error = failure.value.errors()[0]
    path = error.get("ctx", {}).get("path") or error["loc"]
    return ".".join(str(step) for step in path[1:]) + " " + error["msg"]


def sentence(tmp_path: Path, text: str, **environ: str) -> str:
    """What `load_settings` says of a route with `text` in it."""
    file = tmp_path / "tidegate.toml"
    head = "\n".join(
        f'{name} = "{value}"' if isinstance(value, str) else f"{name} = true" for name, value in ROUTE.items()
    )
    file.write_text(f"[[legacy]]\n{head}\n{text}\n")
    with pytest.raises(ConfigError) as failure:
        load_settings(file, environ=environ)
    return failure.value.detail.replace(f"{tmp_path}/", "")


def test_every_setting_reaches_the_route(tmp_path: Path) -> None:
    settings = Settings.model_validate({"legacy": [EVERYTHING]}, context={"base_dir": tmp_path})
    (route,) = routes_of(settings)
    assert route.parameters == ("customer",)
    assert route.key == ("/metadata/uid", "customer")
    assert dict(route.headers) == {"Authorization": "Bearer hunter2"}
    assert route.query == "limit=500&token=hunter2"
    assert (route.method, route.body) == ("POST", '{"secret": "hunter2"}')
    assert route.content_type == "application/graphql+json"
    assert route.public_url == "https://api.shop.example"
    assert route.tls == UpstreamTls(f"{tmp_path}/tls/ca.pem", "/etc/cert.pem", f"{tmp_path}/key.pem")
    assert route.follow_redirects
    assert (route.pages, route.max_pages) == (Pages("/next"), 7)
    assert route.also == tuple(EVERYTHING["also"])
    assert route.empty == ("null", "absent", 204, 404)
    assert (route.ignore, route.deleted) == (("/ageMs", "/links/*"), "/archived")
    assert dict(route.changes) == EVERYTHING["changes"]
    assert route.functions == Functions("shop.orders:decode", "shop:map")
    assert (route.vary_query, route.ignore_query, route.max_variants) == (("status",), ("_",), 20)
    assert (route.reads, route.write_poll_seconds) == (tuple(EVERYTHING["reads"]), 0.5)


def test_a_map_has_no_key_and_a_single_entity_may_have_an_id() -> None:
    settings = Settings.model_validate(
        {
            "legacy": [
                {**WITHOUT_KEY, "shape": "map", "pages": {"link": True}},
                {**WITHOUT_KEY, "path": "/status", "shape": "single", "id": "status", "events": "none"},
            ]
        }
    )
    of_map, single = routes_of(settings)
    assert (of_map.shape, of_map.keys, of_map.pages) == ("map", (), Pages(link=True))
    assert (single.shape, single.id, single.events) == ("single", "status", "none")


@pytest.mark.parametrize("shape", ["list", "single"])
def test_where_nothing_is_compared_nothing_needs_a_key(shape: str) -> None:
    given = {**WITHOUT_KEY, "shape": shape, "events": "none"}
    (route,) = routes_of(Settings.model_validate({"legacy": [given]}))
    assert (route.keys, route.id) == ((), None)


def test_nothing_shows_a_secret_of_a_route_and_a_worker_is_given_it(tmp_path: Path) -> None:
    context = {"base_dir": tmp_path}
    settings = Settings.model_validate({"legacy": [EVERYTHING]}, context=context)
    (route,) = routes_of(settings)
    for shown in (
        *(repr(settings), settings.model_dump_json(), str(settings.model_dump(mode="json")), repr(route)),
    ):
        assert "hunter2" not in shown
    given = settings.with_secrets()
    assert given.count("hunter2") == 3
    assert Settings.model_validate_json(given, context=context) == settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"body": "{}"}, 'body must not be set with method "GET": say method = "POST" as well'),
        ({"content_type": "text/xml"}, "content_type must not be set without body, whose type it is"),
        (
            {"query": "a=1", "upstream": "https://backend.example/orders?b=2"},
            "query must not be set beside a query in upstream: write all of it in one of them",
        ),
        ({"query": "?a=1"}, 'query must be without the "?"'),
        ({"query": "a b"}, "query must be a query as a URL has it"),
        ({"query": "a=é"}, "query must be a query as a URL has it"),
        ({"query": "a#b"}, "query must be a query as a URL has it"),
        ({"method": "post"}, "method must be a method in capital letters, such as POST"),
        ({"method": "HEAD"}, "method must not be HEAD, which asks for no list: use GET or POST"),
        ({"method": "DELETE"}, "method must not be DELETE, which asks for no list: use GET or POST"),
        ({"content_type": "json", "body": "", "method": "POST"}, "content_type must be a media type"),
        ({"public_url": "https://api.example/v1"}, "public_url must be http:// or https:// with a host and"),
        ({"public_url": "https://api.example?a"}, "public_url must be http:// or https:// with a host and"),
        (
            {"public_url": "ftp://api.example"},
            "public_url must be http:// or https:// with a host and no path",
        ),
        ({"public_url": "*"}, "public_url must be http:// or https:// with a host and no path"),
        (
            {"ca_file": "ca.pem", "upstream": "http://backend.example/orders"},
            "ca_file must not be set with an upstream of http://, where nothing is encrypted: say https://",
        ),
        ({"cert_file": "a.pem"}, "cert_file must not be set without key_file: the gateway needs both"),
        ({"key_file": "a.pem"}, "key_file must not be set without cert_file: the gateway needs both"),
    ],
)
def test_what_the_poll_can_not_say_is_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**ROUTE, **given}).startswith(f"0.{said}")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Host", "a", "must not be set: Host follows from public_url: set that"),
        ("X-Forwarded-Host", "a", "must not be set: X-Forwarded-Host follows from public_url: set that"),
        ("connection", "close", "must not be set: connection is of one connection"),
        ("Transfer-Encoding", "chunked", "must not be set: Transfer-Encoding is of one connection"),
        ("Content-Length", "3", "must not be set: Content-Length follows from the body"),
        ("Content-Type", "text/xml", "must not be set: Content-Type is set as content_type"),
        ("If-None-Match", '"a"', "must not be set: If-None-Match is the gateway's to say"),
        ("X-Key", "a\n", "must not have control characters, such as a line break at the end of what"),
        ("X-Key", "a\0b", "must not have control characters"),
        ("X-Key", " a", "must not begin or end with a space"),
        ("Accept-Encoding", "gzip, br;q=0.5", "must not ask for br, which the gateway can't take off"),
        ("Accept-Encoding", "*", "must not ask for *, which the gateway can't take off"),
    ],
)
def test_a_header_that_can_not_be_sent_is_refused(name: str, value: str, said: str) -> None:
    found = problem({**ROUTE, "headers": {name: value}})
    assert found.startswith((f"0.headers.{name} {said}", f"0.headers.{name}.[key] {said}"))


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\n"])
def test_a_header_s_name_is_a_token(name: str) -> None:
    assert problem({**ROUTE, "headers": {name: "x"}})


def test_a_header_is_given_once() -> None:
    assert "must be set once" in problem({**ROUTE, "headers": {"X-Key": "a", "x-key": "b"}})


@pytest.mark.parametrize("value", ["identity", "gzip", "gzip;q=1.0, deflate, identity;q=0"])
def test_codings_that_can_be_taken_off_may_be_asked_for(value: str) -> None:
    Settings.model_validate({"legacy": [{**ROUTE, "headers": {"Accept-Encoding": value}}]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pages": {}}, 'pages must have either next = "/…", a pointer into the body, or link = true'),
        ({"pages": {"next": "/next", "link": True}}, 'pages must have either next = "/…"'),
        ({"pages": {"next": "next"}}, "pages.next must be a JSON pointer to the address of the next page"),
        ({"pages": {"next": ""}}, "pages.next must be a JSON pointer to the address of the next page"),
        ({"max_pages": 3}, "max_pages must not be set without pages"),
        ({"also": ["https://other.example/orders"]}, "also.0 must be of the same origin as upstream"),
        ({"also": ["http://backend.example/orders/old"]}, "also.0 must be of the same origin as upstream"),
        ({"also": ["//other.example/orders"]}, "also.0 must be of the same origin as upstream"),
        ({"also": ["https://backend.example:99999/orders"]}, "also.0 must be a URL, or a path"),
        ({"also": ["https://[::1/orders"]}, "also.0 must be a URL, or a path"),
        ({"also": ["https://u:hunter2@backend.example/a"]}, "also.0 must not have a user or password"),
        ({"also": ["//u@backend.example/a"]}, "also.0 must not have a user or password"),
        ({"also": ["/orders"]}, "also.0 must not be asked for twice (it is that of upstream)"),
        ({"also": ["/a", "/b", "/a"]}, "also.2 must not be asked for twice (it is that of also[0])"),
        ({"also": ["/a?key=${KEY}"]}, "also.0 must not have ${…}: what is secret belongs into headers or"),
        ({"also": ["/a b"]}, "also.0 must be a URL, or a path at the upstream"),
        ({"also": ["/o/{customer}"]}, "also.0 must not have {customer}, which is no parameter of path"),
    ],
)
def test_further_requests_that_can_not_be_sent_are_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**ROUTE, **given}).startswith(f"0.{said}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "key must be set: it says by which member"),
        ({"shape": "single"}, 'id must be set with shape "single", or else key'),
        ({"shape": "single", "id": "s", "key": "id"}, "id must not be set beside key"),
        ({"shape": "map", "key": "id"}, 'key must not be set with shape "map"'),
        ({"id": "s"}, "key must be set: it says by which member"),
        ({"id": "s", "key": "id"}, "id must not be set beside key"),
        ({"shape": "map", "id": "s"}, 'id must not be set with shape "map"'),
        ({"shape": "single", "id": "a\nb"}, "id must not have control characters"),
        ({"shape": "single", "id": "s", "also": ["/a"]}, 'also must not be set with shape "single"'),
        (
            {"shape": "single", "id": "s", "pages": {"link": True}},
            'pages must not be set with shape "single"',
        ),
        ({"key": ""}, "key must be the name of a member"),
        ({"key": "/"}, "key must be the name of a member, or a JSON pointer"),
        ({"key": "/a~2"}, "key must be the name of a member, or a JSON pointer"),
        ({"key": []}, "key must be the name of a member"),
        ({"key": 7}, "key must be the name of a member"),
        ({"key": ["a", "a"]}, "key must not name a member twice"),
        ({"key": ["id", "/b~"]}, "key must be the name of a member, or a JSON pointer"),
        ({"key": "id", "ignore": ["/id"]}, "ignore.0 must not name the key"),
        ({"key": "/a/b", "ignore": ["/x", "/a/b"]}, "ignore.1 must not name the key"),
        ({"key": "id", "deleted": "archived"}, "deleted must be a JSON pointer into an item"),
        ({"key": "id", "ignore": ["ageMs"]}, "ignore.0 must be a JSON pointer into an item"),
        ({"key": "id", "decode": "shop.orders"}, "decode String should match pattern"),
        ({"key": "id", "map": "shop/orders.py:map"}, "map String should match pattern"),
        ({"key": "id", "empty": [200]}, "empty.0 "),
        ({"key": "id", "shape": "tree"}, "shape "),
    ],
)
def test_an_answer_that_can_not_be_read_so_is_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**WITHOUT_KEY, **given}).startswith(f"0.{said}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"events": "none", "changes": {"a": "b"}}, 'changes must not be set with events "none"'),
        ({"events": "none", "ignore": ["/a"]}, 'ignore must not be set with events "none"'),
        ({"events": "none", "deleted": "/a"}, 'deleted must not be set with events "none"'),
        ({"changes": {"a": "x", "/a": "y"}}, "changes./a must not name the member of another (a)"),
        ({"changes": {"a": "x"}, "ignore": ["/a"]}, "changes.a must not be named by ignore as well"),
        ({"changes": {"/a/b": "x"}, "ignore": ["/a"]}, "changes./a/b must not be named by ignore as well"),
        ({"changes": {"/a/b": "x"}, "ignore": ["/*/b"]}, "changes./a/b must not be named by ignore as well"),
        ({"key": ["x", "/id"], "deleted": "/id"}, "deleted must not name the key"),
        ({"changes": {"/a~2": "x"}}, "changes./a~2.[key] must be the name of a member, or a JSON pointer"),
    ],
)
def test_events_that_can_not_come_are_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**ROUTE, **given}).startswith(f"0.{said}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"ignore_query": ["a"], "vary_query": ["b", "a"]},
            "ignore_query.0 must not be in vary_query as well",
        ),
        ({"vary_query": ["a=b"]}, "vary_query.0 must be the name of a query parameter"),
        ({"vary_query": ["access_token"]}, "vary_query.0 must not be access_token"),
        ({"max_variants": 3}, "max_variants must not be set without vary_query or a path with parameters"),
        (
            {"reads": ["POST /api/v1/other"]},
            "reads.0 must have a path that is /api/v1/orders or lies below it",
        ),
        ({"reads": ["POST /api/v1"]}, "reads.0 must have a path that is /api/v1/orders or lies below it"),
        ({"reads": ["POST /api/v1/ordersx"]}, "reads.0 must have a path that is /api/v1/orders"),
        ({"reads": ["GET /api/v1/orders"]}, "reads.0 must not have the method GET"),
        ({"reads": ["post /api/v1/orders"]}, "reads.0 must be a method and a path"),
        ({"reads": ["/api/v1/orders/search"]}, "reads.0 must be a method and a path"),
        ({"reads": ["POST /api/v1/orders/a*"]}, "reads.0 must be a method and a path"),
        ({"write_poll_seconds": -1}, "write_poll_seconds "),
    ],
)
def test_requests_that_can_not_be_told_apart_so_are_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**ROUTE, **given}).startswith(f"0.{said}")


@pytest.mark.parametrize(
    "read", ["POST /api/v1/orders", "POST /api/v1/orders/*/find", "SEARCH /*/v1/orders/a"]
)
def test_a_read_is_at_the_path_or_below_it(read: str) -> None:
    Settings.model_validate({"legacy": [{**ROUTE, "reads": [read]}]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"upstream": "https://b.example/orders"}, "path must not have {customer}, which upstream does not"),
        ({"path": "/orders"}, "upstream must not have {customer}, which is no parameter of path"),
        ({"path": "/{a}/{a}"}, "path must not have {a} twice"),
        ({"path": "/{customer}{b}"}, "path must be a plain path"),
        ({"path": "/x{customer}"}, "path must be a plain path"),
        ({"path": "/{cursor}"}, "path must not have {cursor}: it is the protocol's own name"),
        (
            {"upstream": "https://b.example/x{customer}"},
            "upstream must have a parameter such as {customer} as",
        ),
        ({"upstream": "https://{customer}.example/"}, "upstream must "),
        (
            {"query": "c={customer}"},
            "query must not have {customer}, which is filled in in upstream and also",
        ),
        ({"reads": ["POST /api/customers/{customer}/orders"]}, "reads.0 must be a method and a path"),
        ({"key": "customer"}, "key must name a member of the items too"),
        ({"shape": "single", "key": None, "id": "x"}, "id must not be set with parameters in path"),
    ],
)
def test_parameters_of_a_path_that_lead_nowhere_are_refused(given: dict[str, Any], said: str) -> None:
    assert problem({**TEMPLATE, **given}).startswith(f"0.{said}")


def test_two_paths_that_match_the_same_are_one_too_many() -> None:
    other = {
        **TEMPLATE,
        "path": "/api/customers/{whose}/orders",
        "upstream": "https://b.example/{whose}",
        "entity": "o",
    }
    assert problem(TEMPLATE, other) == "1.path must not be the path of another route (legacy[0])"


def test_a_plain_path_beside_one_with_a_parameter_is_fine() -> None:
    Settings.model_validate(
        {"legacy": [TEMPLATE, {**ROUTE, "path": "/api/customers/all/orders", "entity": "o"}]}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, EVERYTHING[name]) for name in ("headers", "query", "public_url", "vary_query", "reads")),
        *(("shape", "single"), ("empty", [204]), ("pages", {"link": True}), ("ignore", ["/a"])),
        *(("follow_redirects", True), ("decode", "a:b"), ("write_poll_seconds", 1.0), ("method", "POST")),
    ],
)
def test_what_is_of_polls_is_refused_where_nothing_is_polled(name: str, value: Any) -> None:
    assert problem({**ROUTE, "shared": False, name: value}).startswith(
        f"0.{name} must not be set without shared = true"
    )


def test_settings_at_their_defaults_contradict_nothing() -> None:
    route = LegacySettings.model_validate({**ROUTE, "shared": False})
    given = route.model_dump(exclude_none=True)
    assert Settings.model_validate({"legacy": [given]}).legacy[0] == route


def test_two_routes_that_make_events_of_one_type_are_one_too_many() -> None:
    said = problem(ROUTE, {**ROUTE, "path": "/other"})
    assert said.startswith("1.entity must not be the entity of another route that makes events (legacy[0])")
    assert "also" in said
    assert 'events = "none"' in said


@pytest.mark.parametrize("other", [{"events": "none"}, {"shared": False}, {"entity": "invoice"}])
def test_a_second_route_that_only_serves_is_fine(other: dict[str, Any]) -> None:
    Settings.model_validate({"legacy": [ROUTE, {**ROUTE, "path": "/other", **other}]})


def test_a_variable_is_filled_in_wherever_the_poll_says_something(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text(
        """[[legacy]]
component = "orders"
path = "/a"
upstream = "http://backend.example/a?key=${KEY}&$${x}=$1"
entity = "order"
key = "id"
shared = true
method = "POST"
headers = { Authorization = "Bearer ${KEY}", X-Plain = "$5 $${KEY}" }
body = 'query($id: ID) { key(is: "${KEY}") }'
"""
    )
    (route,) = routes_of(load_settings(file, environ={"KEY": "a+b/${KEY}&="}))
    assert dict(route.headers) == {"Authorization": "Bearer a+b/${KEY}&=", "X-Plain": "$5 ${KEY}"}
    assert route.body == 'query($id: ID) { key(is: "a+b/${KEY}&=") }'
    assert route.upstream == "http://backend.example/a"
    assert route.query == "key=a%2Bb%2F%24%7BKEY%7D%26%3D&${x}=$1"


def test_a_variable_that_is_not_there_is_named_and_where_it_is_wanted(tmp_path: Path) -> None:
    said = sentence(tmp_path, 'headers = { Authorization = "Bearer ${ORDERS_TOKEN}" }')
    assert said == (
        "legacy[0].headers.Authorization in tidegate.toml names the variable ORDERS_TOKEN, which is not set "
        "in the environment."
    )
    said = sentence(tmp_path, 'method = "POST"\nbody = "${A}"', A="")
    assert said == (
        "legacy[0].body in tidegate.toml names the variable A, which is empty in the environment."
    )
    assert sentence(tmp_path, 'query = "a=${A B}"').startswith(
        "legacy[0].query in tidegate.toml must have the name of a variable between ${ and }"
    )
    assert sentence(tmp_path, 'query = "a=${A"').startswith("legacy[0].query in tidegate.toml must have")


def test_a_variable_in_the_address_itself_is_refused() -> None:
    assert problem({**ROUTE, "upstream": "https://${HOST}/orders"}).startswith(
        "0.upstream must have ${…} in its query alone"
    )


def test_an_environment_that_holds_the_routes_fills_their_variables_in_too() -> None:
    routes = '[{"component": "o", "path": "/o", "upstream": "http://b/o", "entity": "o", "key": "id",'
    routes += ' "shared": true, "headers": {"X-Key": "${KEY}"}}]'
    (route,) = routes_of(load_settings(None, environ={"TIDEGATE_LEGACY": routes, "KEY": "k"}))
    assert dict(route.headers) == {"X-Key": "k"}
    with pytest.raises(
        ConfigError, match=r"legacy\[0\]\.headers\.X-Key in the variable TIDEGATE_LEGACY names"
    ):
        load_settings(None, environ={"TIDEGATE_LEGACY": routes})


@pytest.mark.parametrize(
    "text",
    [
        'headers = "Authorization: hunter2"',
        'headers = { Authorization = "hunter2\\n" }',
        'headers = { Authorization = "${HUNTER}" }',
        "headers = { Authorization = [2], X = 'hunter2' }",
        'query = "hunter2 "',
        'query = ["hunter2"]',
        'body = ["hunter2"]\nmethod = "POST"',
        'body = "hunter2"',
        'also = ["http://other.example/?key=hunter2"]',
        'upstreams = "http://b/?key=hunter2"',
        'query = "hunter2"\nmethod = "hunter2 is no method"'.replace("hunter2 is", "what is"),
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in sentence(tmp_path, text, HUNTER="hunter2 ")


def test_no_error_shows_the_query_of_an_upstream() -> None:
    routes = (
        '[{"component": "o", "path": "/o", "upstream": "ftp://b/?key=hunter2", "entity": "o", "key": "id"}]'
    )
    with pytest.raises(ConfigError) as failure:
        load_settings(None, environ={"TIDEGATE_LEGACY": routes})
    assert failure.value.detail.startswith("legacy[0].upstream in the variable TIDEGATE_LEGACY must be a URL")
    assert "hunter2" not in failure.value.detail
