"""gateway/service/settings.py: the defaults, and what goes together."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.core.events import EVENT_MEMBERS, RESERVED_EVENT_TYPES
from gateway.service import settings as module
from gateway.service.config import load_settings
from gateway.service.legacy_settings import LegacySettings, ParitySettings
from gateway.service.settings import Settings

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
ROUTE = {
    "component": "orders",
    "path": "/api/v1/orders",
    "upstream": "http://127.0.0.1:9000/orders",
    "entity": "order",
    "key": "orderID",
}


def sections() -> list[type[BaseModel]]:
    models = [value for value in vars(module).values() if isinstance(value, type)]
    return [model for model in models if issubclass(model, BaseModel) and model is not BaseModel]


def problem(**given: Any) -> str:
    with pytest.raises(ValidationError) as failure:
        Settings.model_validate(given)
    return failure.value.errors()[0]["msg"]


def test_the_example_of_all_defaults_is_what_runs_without_a_file() -> None:
    settings = load_settings(EXAMPLES / "defaults.toml", environ={})
    assert settings.model_dump() == Settings().model_dump()


def test_the_example_of_all_defaults_leaves_no_setting_out() -> None:
    written = tomllib.loads((EXAMPLES / "defaults.toml").read_text())
    named = {name: section for name, section in Settings().model_dump().items() if isinstance(section, dict)}
    # TOML has no word for a setting that is absent: those without a default are in comments.
    assert {name: set(section) for name, section in written.items()} == {
        name: {key for key, value in section.items() if value is not None}
        for name, section in named.items()
        if section
    }
    text = (EXAMPLES / "defaults.toml").read_text()
    absent = [key for section in named.values() for key, value in section.items() if value is None]
    assert [key for key in absent if f"\n# {key} = " not in text] == []


def test_the_example_of_all_defaults_names_every_setting_of_a_route() -> None:
    # In comments: each of them wants another value of some other.
    named = re.findall(r"^# (\w+) = ", (EXAMPLES / "defaults.toml").read_text(), re.MULTILINE)
    assert set(LegacySettings.model_fields) - {"parity"} <= set(named)


def test_a_legacy_route_has_the_contract_s_defaults() -> None:
    route = Settings.model_validate({"legacy": [ROUTE]}).legacy[0]
    assert route.model_dump(exclude=set(ROUTE)) == {
        "items": "",
        "interval_seconds": 2.0,
        "timeout_seconds": 10.0,
        "max_body_bytes": 16 * 1024 * 1024,
        "stale_if_error_seconds": 300.0,
        "max_delete_ratio": 0.5,
        "shared": False,
        "events": "poll",
        "changes": {},
        "headers": {},
        "query": None,
        "method": "GET",
        "body": None,
        "content_type": "application/json",
        "public_url": None,
        "ca_file": None,
        "cert_file": None,
        "key_file": None,
        "follow_redirects": False,
        "pages": None,
        "max_pages": 100,
        "also": (),
        "shape": "list",
        "id": None,
        "empty": ("null",),
        "ignore": (),
        "deleted": None,
        "decode": None,
        "map": None,
        "vary_query": (),
        "ignore_query": (),
        "max_variants": 100,
        "reads": (),
        "write_poll_seconds": None,
        "parity": {
            "ignore": (),
            "unordered": (),
            "numeric_tolerance": 0.0,
            "settle_seconds": None,
            "merge": False,
            "keep_values": False,
        },
    }


@pytest.mark.parametrize(("interval", "window"), [(0.5, 2.0), (1.0, 2.0), (5.0, 10.0)])
def test_two_polls_in_a_row_and_a_slow_publisher_fall_into_the_settle_window(
    interval: float, window: float
) -> None:
    assert ParitySettings().settle_of(interval) == window


def test_a_settle_window_that_is_set_counts_whatever_the_interval() -> None:
    assert ParitySettings(settle_seconds=0.5).settle_of(60.0) == 0.5


def test_the_example_of_a_legacy_route_names_every_setting_of_its_parity() -> None:
    written = tomllib.loads((EXAMPLES / "orders.toml").read_text())["legacy"][0]["parity"]
    assert set(written) == set(ParitySettings.model_fields)


def test_every_plain_setting_says_in_words_what_is_allowed() -> None:
    for section in sections():
        for name, field in section.model_fields.items():
            is_section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert is_section or field.description, f"{section.__name__}.{name}"


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost", "LOCALHOST"])
def test_every_loopback_address_serves_without_authentication(host: str) -> None:
    assert Settings.model_validate({"server": {"host": host}}).server.host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.1"]
)
def test_no_other_address_does(host: str) -> None:
    assert "must be a loopback address" in problem(server={"host": host})


SECRET = "0123456789abcdef0123456789abcdef"


def test_with_tokens_the_gateway_serves_at_any_address() -> None:
    settings = Settings.model_validate(
        {"server": {"host": "0.0.0.0"}, "auth": {"mode": "jwt", "secret": SECRET}}
    )
    assert settings.server.host == "0.0.0.0"


@pytest.mark.parametrize(
    "source",
    [{"secret": SECRET}, {"public_key_file": "idp.pem"}, {"jwks_url": "https://idp.example/jwks.json"}],
)
def test_one_setting_says_how_tokens_are_checked(source: dict[str, str]) -> None:
    auth = Settings.model_validate({"auth": {"mode": "jwt", **source}}).auth
    assert auth.key_sources == tuple(source)


def test_without_any_of_them_no_token_could_be_checked() -> None:
    assert "none of auth.secret, auth.public_key_file and auth.jwks_url" in problem(auth={"mode": "jwt"})


@pytest.mark.parametrize("mode", ["none", "jwt"])
def test_two_ways_to_check_a_token_are_one_too_many(mode: str) -> None:
    said = problem(auth={"mode": mode, "jwks_url": "https://idp.example/jwks.json", "secret": SECRET})
    assert said == "must not be set beside auth.secret: tokens are checked with one of them"


@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    assert problem(auth={"secret": secret}).startswith("must have 32 bytes at least")


def test_a_secret_s_length_is_counted_in_bytes() -> None:
    Settings.model_validate({"auth": {"secret": "ü" * 16}})


def test_a_secret_is_no_public_key() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
    assert "auth.public_key_file" in problem(auth={"secret": pem})


def test_a_secret_is_shown_nowhere() -> None:
    settings = Settings.model_validate({"auth": {"secret": SECRET}})
    assert SECRET not in repr(settings) + str(settings.model_dump(mode="json")) + settings.model_dump_json()


@pytest.mark.parametrize(
    "url",
    ["https://idp.example/jwks.json", "http://127.0.0.1:9000/jwks", "http://[::1]/", "http://localhost/"],
)
def test_keys_come_by_https_or_from_this_machine(url: str) -> None:
    assert Settings.model_validate({"auth": {"jwks_url": url}}).auth.jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example",
        "ftp://idp.example/",
        "file:///etc/keys",
        "https://",
        "https://a:b@idp.example/",
        "https://idp.example/#x",
        "http://idp.example/jwks.json",
        "http://localhost.example/",
        "http://10.0.0.1/",
        "https://idp.example/a b",
        "https://idp.example:x/",
    ],
)
def test_keys_come_from_nowhere_else(url: str) -> None:
    assert problem(auth={"jwks_url": url}).startswith("must ")


def test_streams_may_be_compressed_where_everybody_may_see_everything() -> None:
    settings = Settings.model_validate({"stream": {"compression": "gzip"}})
    assert settings.stream.compression == "gzip"


def test_streams_are_not_compressed_where_what_callers_may_see_differs() -> None:
    said = problem(stream={"compression": "gzip"}, auth={"mode": "jwt", "secret": SECRET})
    assert said.startswith('must be "none" with auth.mode "jwt": what callers may see differs')


@pytest.mark.parametrize("path", ["", "events.db?mode=ro", "events.db#1", "a%20b.db", "a\nb", "\0"])
def test_a_log_s_path_is_a_plain_one(path: str) -> None:
    assert "must have the path of a file after sqlite:///" in problem(log={"url": f"sqlite:///{path}"})


def test_a_log_in_memory_is_not_called_sqlite() -> None:
    assert problem(log={"url": "sqlite:///:memory:"}) == "must be memory:// where nothing is to last"


@pytest.mark.parametrize(
    "url", ["memory://elsewhere", "memory:", "mysql://db/x", "postgres:/db", "", "redis"]
)
def test_a_log_that_does_not_exist_is_refused(url: str) -> None:
    assert "must be memory://, or a URL such as" in problem(log={"url": url})


@pytest.mark.parametrize(
    ("store", "log"),
    [
        ("postgres", "redis://cache"),
        ("postgres", "memory://"),
        ("redis", "postgres://db/x"),
        ("redis", "memory://"),
    ],
)
def test_flags_are_kept_in_a_file_or_in_the_log_s_own_server(store: str, log: str) -> None:
    assert f"where log.url is not {store}://" in problem(flags={"store": store}, log={"url": log})


@pytest.mark.parametrize(
    ("store", "log"),
    [("postgres", "postgresql://db/x"), ("redis", "rediss://cache"), ("file:f.json", "redis://c")],
)
def test_flags_go_with_their_log(store: str, log: str) -> None:
    assert Settings.model_validate({"flags": {"store": store}, "log": {"url": log}}).flags.store == store


@pytest.mark.parametrize("log", ["memory://", "sqlite:///events.db"])
def test_several_workers_need_a_log_that_they_share(log: str) -> None:
    assert problem(server={"workers": 2}, log={"url": log}) == (
        f"must be 1 with log.url {log}, which is of one process: several workers need a log that they share, "
        "postgres:// or redis://"
    )


@pytest.mark.parametrize(
    "path",
    ["/", "/orders", "/api/v1/orders", "/api/v1/synchronous", "/healthzz", "/api/v1/orders/", "/a;v=1/@b:c"],
)
def test_a_legacy_path_is_any_plain_path_that_the_gateway_leaves_free(path: str) -> None:
    assert Settings.model_validate({"legacy": [ROUTE | {"path": path}]}).legacy[0].path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "orders",
        "//orders",
        "/a//b",
        "/a/../b",
        "/.",
        "/a b",
        "/a?b",
        "/a#b",
        "/{id}x",
        "/{id}{no}",
        "/{}",
        "/{a b}",
        "/%6f",
        "/é",
        "/a\n",
    ],
)
def test_a_legacy_path_that_is_not_plain_is_refused(path: str) -> None:
    assert "must be a plain path" in problem(legacy=[ROUTE | {"path": path}])


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/sync",
        "/api/v1/sync/",
        "/api/v1/sync/orders",
        "/api/v1/admin/flags",
        "/api/health",
        "/api/health/realtime",
        "/healthz",
        "/readyz",
        "/metrics",
        "/static/orders",
    ],
)
def test_a_legacy_path_may_not_cover_the_gateway_s_own(path: str) -> None:
    assert "which the gateway answers itself" in problem(legacy=[ROUTE | {"path": path}])


@pytest.mark.parametrize(
    "upstream",
    [
        "http://backend",
        "https://backend:8443/orders?all=1",
        "http://[::1]:9000/",
        "http://127.0.0.1:9000/a%20b",
    ],
)
def test_an_upstream_is_a_url_with_a_host(upstream: str) -> None:
    assert (
        Settings.model_validate({"legacy": [ROUTE | {"upstream": upstream}]}).legacy[0].upstream == upstream
    )


@pytest.mark.parametrize(
    "upstream",
    [
        "",
        "/orders",
        "backend:9000",
        "ftp://backend/",
        "http://",
        "http://:80/",
        "http://b:x/",
        "http://b/ c",
        "http://[b/",
    ],
)
def test_an_upstream_that_is_no_url_is_refused(upstream: str) -> None:
    assert "must be a URL of http:// or https://" in problem(legacy=[ROUTE | {"upstream": upstream}])


@pytest.mark.parametrize("items", ["", "/", "/docs", "/a/0/b", "/a~0b~1c", "/é "])
def test_items_is_a_json_pointer(items: str) -> None:
    assert Settings.model_validate({"legacy": [ROUTE | {"items": items}]}).legacy[0].items == items


@pytest.mark.parametrize("items", ["docs", "/a~2", "/a~", "#/docs"])
def test_items_that_are_no_json_pointer_are_refused(items: str) -> None:
    assert "must be a JSON pointer" in problem(legacy=[ROUTE | {"items": items}])


def test_an_entity_of_a_legacy_route_leaves_room_for_the_longest_event_type() -> None:
    longest = "e" * (64 - len("_created"))
    assert Settings.model_validate({"legacy": [ROUTE | {"entity": longest}]})
    assert problem(legacy=[ROUTE | {"entity": longest + "e"}])


def test_two_legacy_routes_need_two_paths() -> None:
    assert problem(legacy=[ROUTE, ROUTE | {"path": "/other"}, ROUTE]) == (
        "must not be the path of another route (legacy[0])"
    )


def test_two_entity_types_need_two_aliases() -> None:
    given = {"order": {"id_alias": "number"}, "invoice": {"id_alias": "number"}}
    assert problem(entities=given) == "must not be the id alias of another type (order)"


@pytest.mark.parametrize("alias", ["capable", "clientId", "cursor", "filter", "limit", "wait", "channel"])
def test_an_alias_may_not_take_a_query_parameter_away(alias: str) -> None:
    assert "query parameter" in problem(entities={"order": {"id_alias": alias}})


@pytest.mark.parametrize("alias", sorted(EVENT_MEMBERS))
def test_an_alias_may_not_take_a_member_of_the_event_away(alias: str) -> None:
    assert "member that every event has" in problem(entities={"order": {"id_alias": alias}})


@pytest.mark.parametrize("name", sorted(RESERVED_EVENT_TYPES))
def test_a_change_may_not_have_the_name_of_a_control_event(name: str) -> None:
    assert "control event" in problem(legacy=[ROUTE | {"changes": {"orderStage": name}}])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "é", "a\n", "a" * 65])
def test_names_have_the_protocol_s_alphabet(name: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"entities": {name: {"id_alias": "number"}}},
        {"entities": {"order": {"id_alias": name}}},
        {"components": {name: {"entities": []}}},
        {"components": {"orders": {"entities": [name]}}},
        {"legacy": [ROUTE | {"entity": name}]},
        {"legacy": [ROUTE | {"component": name}]},
        {"legacy": [ROUTE | {"changes": {"orderStage": name}}]},
    ]
    for given in wrong:
        assert problem(**given)


@pytest.mark.parametrize("host", ["shop.example", "gateway", "[::1]", "127.0.0.1", "a_b.example"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert Settings.model_validate({"server": {"hosts": [host]}}).server.hosts == (host,)


@pytest.mark.parametrize(
    "host", ["Shop.example", "shop.example:443", "http://shop.example", "a b", "*", "", "x.", ".x"]
)
def test_what_no_host_field_would_match_is_no_host(host: str) -> None:
    assert problem(server={"hosts": [host]}).startswith("String should")


def test_origins_and_proxies_are_kept_once_and_in_one_spelling() -> None:
    origins = ["https://App.example:443", "https://app.example", "http://localhost:3000"]
    settings = Settings.model_validate(
        {"cors": {"origins": origins}, "server": {"trusted_proxies": ["127.0.0.1", "127.0.0.1/32", "::1"]}}
    )
    assert settings.cors.origins == ("https://app.example", "http://localhost:3000")
    assert settings.server.trusted_proxies == ("127.0.0.1/32", "::1/128")


@pytest.mark.parametrize("store", ["xpostgres", "my redis", "/file:flags.json"])
def test_what_only_ends_like_a_store_of_flags_is_none(store: str) -> None:
    assert problem(flags={"store": store}, log={"url": "postgres://h/d"}).startswith("String should")


def test_a_worker_reads_the_settings_that_it_is_given_and_nobody_else_is_shown_their_secrets(
    tmp_path: Path,
) -> None:
    given: dict[str, Any] = {
        "auth": {
            "mode": "jwt",
            "secret": "a secret that nobody is shown, of 32 bytes",
            "grants": [{"when": {"a.b": [1, {"c": None}]}, "subscribe": ["order:branch=eq.{sub}"]}],
            "keys": [{"name": "ci", "sha256": "AB" * 32, "publish": ["*"], "subscribe": ['order:"1"']}],
            "anonymous": {"subscribe": [{"entity": "menu", "members": ["name"]}]},
        },
        "cors": {"origins": ["https://app.example"]},
        "server": {"host": "0.0.0.0", "hosts": ["shop.example"], "trusted_proxies": ["10.0.0.0/8"]},
    }
    context = {"base_dir": tmp_path}
    settings = Settings.model_validate(given, context=context)
    read = Settings.model_validate_json(settings.with_secrets(), context=context)
    assert read == settings
    assert read.base_dir == tmp_path
    assert read.auth.model_fields_set == settings.auth.model_fields_set
    for shown in (settings.model_dump_json(), repr(settings), f"{settings.model_dump(mode='json')}"):
        assert "nobody is shown" not in shown
        assert "abab" not in shown
