"""gateway/service/config.py: where settings come from, and the sentence on each wrong one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.core.errors import ConfigError
from gateway.service.config import load_settings

HASH = "0123456789abcdef" * 4
ROUTE = """
[[legacy]]
component = "orders"
path = "/api/v1/orders"
upstream = "http://127.0.0.1:9000/orders"
entity = "order"
key = "orderID"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a configuration file, short as people give it."""
    monkeypatch.chdir(tmp_path)
    return Path("tidegate.toml")


def sentence(
    path: Path | None, overrides: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
) -> str:
    with pytest.raises(ConfigError) as failure:
        load_settings(path, overrides, environ or {})
    return failure.value.detail


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, environ={})
    assert settings.server.port == 8080
    assert settings.base_dir == tmp_path


def test_files_are_relative_to_the_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "tidegate.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("etc/tidegate.toml"), environ={}).base_dir == tmp_path / "etc"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('[server]\nport = 1\ndrain_seconds = 3\nhost = "127.0.0.1"\n')
    environ = {"TIDEGATE_SERVER__PORT": "2", "TIDEGATE_SERVER__HOST": "127.0.0.2"}
    server = load_settings(file, {"server": {"host": "127.0.0.3"}}, environ).server
    assert (server.drain_seconds, server.port, server.host) == (3.0, 2, "127.0.0.3")


def test_tables_are_merged_and_lists_replaced(file: Path) -> None:
    file.write_text('[entities.order]\nid_alias = "orderID"\n' + ROUTE)
    environ = {"TIDEGATE_LEGACY": "[]", "TIDEGATE_ENTITIES": '{"Invoice": {"id_alias": "number"}}'}
    settings = load_settings(file, environ=environ)
    assert settings.legacy == ()
    assert {name: entity.id_alias for name, entity in settings.entities.items()} == {
        "order": "orderID",
        "Invoice": "number",
    }


def test_a_variable_may_name_an_entity_type() -> None:
    settings = load_settings(None, environ={"TIDEGATE_ENTITIES__ORDER__ID_ALIAS": "orderID"})
    assert settings.entities["order"].id_alias == "orderID"


def test_the_more_exact_variable_wins() -> None:
    environ = {"TIDEGATE_SERVER__PORT": "3", "TIDEGATE_SERVER": '{"port": 1, "host": "::1"}'}
    server = load_settings(None, environ=environ).server
    assert (server.port, server.host) == (3, "::1")


def test_text_in_a_variable_is_taken_as_it_is() -> None:
    assert load_settings(None, environ={"TIDEGATE_FLAGS__STORE": "file:1.json"}).flags.store == "file:1.json"


def test_variables_of_other_programs_are_none_of_ours() -> None:
    assert load_settings(None, environ={"PORT": "1", "XTIDEGATE_PORT": "1", "tidegate_port": "1"})


def test_the_token_of_commands_is_no_setting() -> None:
    assert load_settings(None, environ={"TIDEGATE_TOKEN": "tgk_hunter2"}) == load_settings(None, environ={})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[limits]\nstreams = -1",
            "limits.streams in tidegate.toml is -1, but must be an integer from 0 to 100000000.",
        ),
        (
            "[limits]\nopens_per_second = -0.5",
            "limits.opens_per_second in tidegate.toml is -0.5, but must be a number from 0 to 100000000.",
        ),
        (
            "[limits]\npublish_per_second = nan",
            "limits.publish_per_second in tidegate.toml is NaN, but must be a number from 0 to 100000000.",
        ),
        (
            "[limits]\nreplays = 0",
            "limits.replays in tidegate.toml is 0, but must be an integer from 1 to 1024.",
        ),
        (
            "[limits]\nhead_bytes = 0",
            "limits.head_bytes in tidegate.toml is 0, but must be a number of bytes, an integer from 1024 to "
            "1048576.",
        ),
        (
            "[server]\nport = 70000",
            "server.port in tidegate.toml is 70000, but must be an integer from 0 to 65535.",
        ),
        (
            '[server]\nport = "80"',
            'server.port in tidegate.toml is "80", but must be an integer from 0 to 65535.',
        ),
        (
            "[server]\nport = true",
            "server.port in tidegate.toml is true, but must be an integer from 0 to 65535.",
        ),
        (
            "[server]\nport = [80]",
            "server.port in tidegate.toml is a list, but must be an integer from 0 to 65535.",
        ),
        (
            "[stream]\nheartbeat_seconds = inf",
            "stream.heartbeat_seconds in tidegate.toml is Infinity, "
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (
            "[stream]\nheartbeat_seconds = nan",
            "stream.heartbeat_seconds in tidegate.toml is NaN, "
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (
            "[history]\nmax_age_seconds = 2026-11-20",
            'history.max_age_seconds in tidegate.toml is "2026-11-20", '
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (
            '[cors]\norigins = ["https://app.example", "*"]',
            'cors.origins[1] in tidegate.toml is "*", but must not be "*": name each origin, '
            "for whoever may read with a user's cookies must be known.",
        ),
        (
            '[cors]\norigins = ["https://app.example/"]',
            'cors.origins[0] in tidegate.toml is "https://app.example/", but must be an origin as browsers '
            "send it, scheme://host or scheme://host:port in ASCII without a path, "
            "such as https://app.shop.example.",
        ),
        (
            '[cors]\norigins = "https://app.example"',
            'cors.origins in tidegate.toml is "https://app.example", '
            'but must be a list of origins such as ["https://app.shop.example"].',
        ),
        (
            "[cors]\norigins = [7]",
            "cors.origins[0] in tidegate.toml is 7, but must be an origin such as https://app.shop.example.",
        ),
        (
            '[server]\ntrusted_proxies = ["10.0.0.1/8"]',
            'server.trusted_proxies[0] in tidegate.toml is "10.0.0.1/8", '
            "but must not have bits beyond its prefix: write 10.0.0.0/8 or 10.0.0.1.",
        ),
        ("server = 80", "server in tidegate.toml is 80, but must be a table."),
        (
            "[server]\nprot = 80",
            "server.prot in tidegate.toml is unknown (did you mean server.port?): "
            "allowed in server are drain_seconds, host, hosts, port, ready_needs_upstreams, "
            "trusted_proxies, workers.",
        ),
        (
            "[hints]\ncolour = 1",
            "hints.colour in tidegate.toml is unknown: "
            "allowed in hints are debounce_ms, fan_in, max_wait_ms.",
        ),
        (
            '[auth]\nmode = "jwt"',
            'auth.mode in tidegate.toml is "jwt", but must be "none" where none of auth.secret, '
            "auth.public_key_file and auth.jwks_url says how to check a token: set one of them.",
        ),
        (
            '[auth]\nsecret = "hunter2"',
            "auth.secret in tidegate.toml must have 32 bytes at least (RFC 7518, section 3.2), and has 7.",
        ),
        ("[auth]\nsecret = 31415926", "auth.secret in tidegate.toml must be a text of 32 bytes at least."),
        ('[auth]\nsecret = ["hunter2"]', "auth.secret in tidegate.toml must be a text of 32 bytes at least."),
        (
            '[auth]\njwks_url = "http://idp.example/"',
            'auth.jwks_url in tidegate.toml is "http://idp.example/", but must be a URL of https://; '
            "one of http:// may be of this machine only (loopback).",
        ),
        (
            "[auth]\nleeway_seconds = -1",
            "auth.leeway_seconds in tidegate.toml is -1, but must be a number of seconds from 0 to 3600.",
        ),
        (
            '[auth]\npublic_key_file = ""',
            'auth.public_key_file in tidegate.toml is "", but must be the path of a file in PEM.',
        ),
        (
            '[auth]\ncookie = "a b"',
            'auth.cookie in tidegate.toml is "a b", '
            "but must be the name of a cookie (RFC 6265, section 4.1.1).",
        ),
        (
            '[auth]\ncookie = "tidegate_session"',
            'auth.cookie in tidegate.toml is "tidegate_session", '
            "but must not be the one that the gateway sets by itself.",
        ),
        (
            '[auth]\naudience = ""',
            'auth.audience in tidegate.toml is "", but must be what a token\'s aud has to name.',
        ),
        (
            '[[auth.grants]]\nsubscribe = ["order", "order:"]',
            'auth.grants[0].subscribe[1] in tidegate.toml is "order:", but must have an id of 1 to 256 '
            'characters after ":", in quotes where it holds a comma, and without control characters.',
        ),
        (
            '[[auth.grants]]\nsubscribe = ["order:a=like.b"]',
            'auth.grants[0].subscribe[0] in tidegate.toml is "order:a=like.b", but must be well-formed: '
            "the operators are eq neq gt gte lt lte in is.",
        ),
        (
            '[[auth.grants]]\nsubscribe = ["order"]\n[[auth.grants]]\nsubscribe = ["order:a=eq.x{sub}"]',
            'auth.grants[1].subscribe[0] in tidegate.toml is "order:a=eq.x{sub}", but must have each claim, '
            "such as {sub}, as a whole operand or a whole id, and no other braces.",
        ),
        (
            '[[auth.grants]]\nsubscribe = [{ entity = "order", member = ["id"] }]',
            "auth.grants[0].subscribe[0] in tidegate.toml is a table, but must have no members but entity, "
            "filters, members.",
        ),
        (
            "[[auth.grants]]\nsubscribe = [7]",
            'auth.grants[0].subscribe[0] in tidegate.toml is 7, but must be text such as "order", '
            "or an object.",
        ),
        (
            '[[auth.grants]]\nsubscribe = "order"',
            'auth.grants[0].subscribe in tidegate.toml is "order", but must be a list of grants such as '
            '["order", "invoice:customer_id=eq.7"].',
        ),
        (
            '[[auth.grants]]\npublish = ["or der"]',
            'auth.grants[0].publish[0] in tidegate.toml is "or der", but must be an entity type '
            '(1 to 64 of A-Z a-z 0-9 _ . -), "*" or "global".',
        ),
        (
            '[[auth.grants]]\npublish = ["{role}"]',
            'auth.grants[0].publish[0] in tidegate.toml is "{role}", but must be an entity type '
            '(1 to 64 of A-Z a-z 0-9 _ . -), "*" or "global".',
        ),
        (
            '[[auth.grants]]\npresence = [""]',
            'auth.grants[0].presence[0] in tidegate.toml is "", but must be a channel '
            '(1 to 64 of A-Z a-z 0-9 _ . -) or "*".',
        ),
        (
            "[[auth.grants]]\nadmin = 1",
            "auth.grants[0].admin in tidegate.toml is 1, but must be true or false.",
        ),
        (
            "[[auth.grants]]\nwhen = { since = 2026-11-20 }",
            'auth.grants[0].when.since in tidegate.toml is "2026-11-20", but must be a value that JSON has: '
            "no date or time, and no number that is not finite.",
        ),
        (
            "[[auth.grants]]\nwhen = { level = [1, inf] }",
            "auth.grants[0].when.level in tidegate.toml is a list, but must be a value that JSON has: "
            "no date or time, and no number that is not finite.",
        ),
        (
            '[[auth.grants]]\nwhen = "customer"',
            'auth.grants[0].when in tidegate.toml is "customer", but must be a table of claims and the '
            "values that they must have.",
        ),
        (
            '[[auth.grants]]\nrole = "customer"',
            "auth.grants[0].role in tidegate.toml is unknown: allowed in auth.grants[0] are admin, "
            "broadcast, metrics, presence, publish, subscribe, when.",
        ),
        (
            '[auth.anonymous]\nsubscribe = ["order:a=eq.{sub}"]',
            'auth.anonymous.subscribe[0] in tidegate.toml is "order:a=eq.{sub}", but must have no { or }: '
            "claims stand in the grants of rules only, [[auth.grants]].",
        ),
        (
            "[auth.anonymous]\nadmin = true",
            "auth.anonymous.admin in tidegate.toml is unknown: allowed in auth.anonymous are broadcast, "
            "presence, publish, subscribe.",
        ),
        (
            "[auth]\nanonymous = true",
            "auth.anonymous in tidegate.toml is true, but must be a table, [auth.anonymous].",
        ),
        (
            f'[[auth.keys]]\nname = "a b"\nsha256 = "{HASH}"',
            'auth.keys[0].name in tidegate.toml is "a b", but must be a name (1 to 64 of A-Z a-z 0-9 _ . -).',
        ),
        (
            '[[auth.keys]]\nname = "a"',
            "auth.keys[0].sha256 in tidegate.toml is missing: it must be a SHA-256 in 64 hexadecimal digits.",
        ),
        (
            '[[auth.keys]]\nname = "a"\nsha256 = "tgk_hunter2"',
            "auth.keys[0].sha256 in tidegate.toml must be a SHA-256 in 64 hexadecimal digits, which "
            "`tidegate key` prints beside the key.",
        ),
        (
            f'[[auth.keys]]\nname = "a"\nsha256 = "{HASH}"\nsubscribe = ["order:{{sub}}"]',
            'auth.keys[0].subscribe[0] in tidegate.toml is "order:{sub}", but must have no { or }: '
            "claims stand in the grants of rules only, [[auth.grants]].",
        ),
        (
            f'[[auth.keys]]\nname = "a"\nsha256 = "{HASH}"\n[[auth.keys]]\nname = "a"\nsha256 = "{"0" * 64}"',
            'auth.keys[1].name in tidegate.toml is "a", but must not be that of another key (auth.keys[0]).',
        ),
        (
            f'[[auth.keys]]\nname = "a"\nsha256 = "{HASH}"\n'
            f'[[auth.keys]]\nname = "b"\nsha256 = "{HASH.upper()}"',
            "auth.keys[1].sha256 in tidegate.toml must not be that of another key (auth.keys[0]).",
        ),
        ('[auth]\nmode = "no"', 'auth.mode in tidegate.toml is "no", but must be "none" or "jwt".'),
        (
            '[server]\nhost = "0.0.0.0"',
            'server.host in tidegate.toml is "0.0.0.0", but must be a loopback address (127.0.0.0/8, ::1 or '
            'localhost), because without authentication (auth.mode = "none") the gateway serves this machine '
            "only.",
        ),
        (
            '[entities.order]\nid_alias = "filter"',
            'entities.order.id_alias in tidegate.toml is "filter", '
            "but must not be a query parameter of the protocol.",
        ),
        (
            '[entities."a b"]\nid_alias = "x"',
            'entities."a b" in tidegate.toml must have a name (1 to 64 of A-Z a-z 0-9 _ . -).',
        ),
        (
            '[components.orders]\nentities = ["order", "a b"]',
            'components.orders.entities[1] in tidegate.toml is "a b", '
            "but must be a name (1 to 64 of A-Z a-z 0-9 _ . -).",
        ),
        (
            '[components.orders]\nentities = "order"',
            'components.orders.entities in tidegate.toml is "order", but must be a list of entity types.',
        ),
        (
            ROUTE + "interval_seconds = 0",
            "legacy[0].interval_seconds in tidegate.toml is 0, "
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (ROUTE + "shared = 1", "legacy[0].shared in tidegate.toml is 1, but must be true or false."),
        (
            ROUTE + 'events = "push"',
            'legacy[0].events in tidegate.toml is "push", but must be "poll", "external" or "none".',
        ),
        (
            ROUTE + '[legacy.changes]\n"" = "stage_change"',
            'legacy[0].changes."" in tidegate.toml must have the name of a member, 1 to 256 characters, '
            'or a JSON pointer such as "/status/phase".',
        ),
        (
            ROUTE + '[legacy.parity]\nignore = ["/a", "b"]',
            'legacy[0].parity.ignore[1] in tidegate.toml is "b", but must be a JSON pointer into an item '
            'such as "/updatedAt", where * is any one step.',
        ),
        (
            ROUTE + '[legacy.parity]\nignore = [""]',
            'legacy[0].parity.ignore[0] in tidegate.toml is "", but must be a JSON pointer into an item '
            'such as "/updatedAt", where * is any one step.',
        ),
        (
            ROUTE + '[legacy.parity]\nunordered = ["/a~2"]',
            'legacy[0].parity.unordered[0] in tidegate.toml is "/a~2", but must be a JSON pointer to a list '
            'of an item such as "/tags", where * is any one step.',
        ),
        (
            ROUTE + '[legacy.parity]\nunordered = "/tags"',
            'legacy[0].parity.unordered in tidegate.toml is "/tags", '
            "but must be a list of JSON pointers to lists of an item.",
        ),
        (
            ROUTE + "[legacy.parity]\nnumeric_tolerance = -0.1",
            "legacy[0].parity.numeric_tolerance in tidegate.toml is -0.1, "
            "but must be a number from 0 to 1000000000.",
        ),
        (
            ROUTE + "[legacy.parity]\nnumeric_tolerance = inf",
            "legacy[0].parity.numeric_tolerance in tidegate.toml is Infinity, "
            "but must be a number from 0 to 1000000000.",
        ),
        (
            ROUTE + "[legacy.parity]\nsettle_seconds = 0",
            "legacy[0].parity.settle_seconds in tidegate.toml is 0, "
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (
            ROUTE + '[legacy.parity]\nsettle_seconds = "2"',
            'legacy[0].parity.settle_seconds in tidegate.toml is "2", '
            "but must be a number of seconds from 0.01 to 31536000.",
        ),
        (
            ROUTE + "[legacy.parity]\nmerge = 1",
            "legacy[0].parity.merge in tidegate.toml is 1, but must be true or false.",
        ),
        (
            ROUTE + '[legacy.parity]\nkeep_values = "yes"',
            'legacy[0].parity.keep_values in tidegate.toml is "yes", but must be true or false.',
        ),
        (
            ROUTE + "[legacy.parity]\nsettle = 2",
            "legacy[0].parity.settle in tidegate.toml is unknown (did you mean "
            "legacy[0].parity.settle_seconds?): allowed in legacy[0].parity are ignore, keep_values, merge, "
            "numeric_tolerance, settle_seconds, unordered.",
        ),
        (
            ROUTE + ROUTE,
            'legacy[1].path in tidegate.toml is "/api/v1/orders", '
            "but must not be the path of another route (legacy[0]).",
        ),
        (
            ROUTE.replace('key = "orderID"', ""),
            "legacy[0].key in tidegate.toml must be set: it says by which member an item is known from "
            "answer to answer.",
        ),
        (
            "[server\nport = 80",
            "The configuration file tidegate.toml is not valid TOML: "
            "Expected ']' at the end of a table declaration (at line 1, column 8).",
        ),
        (
            '[server]\nhost = """a\nb',
            "The configuration file tidegate.toml is not valid TOML: "
            "Unterminated string (at the end of the file, line 3, column 2).",
        ),
    ],
)
def test_a_wrong_file_gets_a_sentence_that_names_the_key(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    assert sentence(file) == expected


def test_a_misspelt_key_is_named_before_the_one_that_is_missing_for_it(file: Path) -> None:
    file.write_text(ROUTE.replace("component", "componnent"))
    assert sentence(file).startswith(
        "legacy[0].componnent in tidegate.toml is unknown (did you mean legacy[0].component?): allowed in"
    )


def test_a_key_above_its_section_is_told_where_it_belongs(file: Path) -> None:
    file.write_text("port = 80")
    assert sentence(file).startswith("port in tidegate.toml is unknown (did you mean server.port?)")


def test_the_file_can_not_set_what_is_no_setting(file: Path) -> None:
    file.write_text('base_dir = "/"')
    assert sentence(file).startswith("base_dir in tidegate.toml is unknown")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[log]\nurl = "mysql://u:hunter2@db/x"', "log.url"),
        ('[log]\nurl = "mysql://db/x?user=u&password=hunter2"', "log.url"),
        ('log = "redis://:hunter2@cache"', "log"),
        (ROUTE.replace("http://", "http://u:hunter2@"), "legacy[0].upstream"),
    ],
)
def test_a_sentence_never_repeats_a_password(file: Path, text: str, key: str) -> None:
    file.write_text(text)
    said = sentence(file)
    assert said.startswith(f"{key} in tidegate.toml must")
    assert "hunter2" not in said


def test_a_long_value_is_cut(file: Path) -> None:
    file.write_text(f'[auth]\nmode = "{"x" * 1000}"')
    assert len(sentence(file)) < 200


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"TIDEGATE_SERVER__PORT": "eighty"},
            'server.port in the variable TIDEGATE_SERVER__PORT is "eighty", '
            "but must be an integer from 0 to 65535.",
        ),
        (
            {"TIDEGATE_SERVER__PORT": ""},
            'server.port in the variable TIDEGATE_SERVER__PORT is "", '
            "but must be an integer from 0 to 65535.",
        ),
        (
            {"TIDEGATE_SERVER__PORT__X": "1"},
            "server.port in the variable TIDEGATE_SERVER__PORT__X is a table, "
            "but must be an integer from 0 to 65535.",
        ),
        (
            {"TIDEGATE_SERVER__PROT": "80"},
            "server.prot in the variable TIDEGATE_SERVER__PROT is unknown (did you mean server.port?): "
            "allowed in server are drain_seconds, host, hosts, port, ready_needs_upstreams, "
            "trusted_proxies, workers.",
        ),
        (
            {"TIDEGATE_SERVER__PORT": "80", "TIDEGATE_SERVER__port": "81"},
            "The variables TIDEGATE_SERVER__PORT and TIDEGATE_SERVER__port are one setting: "
            "unset one of them.",
        ),
        (
            {"TIDEGATE_LEGACY": "[{"},
            "legacy in the variable TIDEGATE_LEGACY must be JSON, and is not: "
            "Expecting property name enclosed in double quotes: line 1 column 3 (char 2).",
        ),
        (
            {"TIDEGATE_LEGACY": "{}"},
            "legacy in the variable TIDEGATE_LEGACY is a table, but must be a list of tables, one a route: "
            "[[legacy]] in a file, JSON in TIDEGATE_LEGACY.",
        ),
        (
            {"TIDEGATE_LEGACY": "[3]"},
            "legacy[0] in the variable TIDEGATE_LEGACY is 3, but must be a table.",
        ),
        (
            {"TIDEGATE_LEGACY": "[{}]"},
            "legacy[0].component in the variable TIDEGATE_LEGACY is missing: "
            "it must be a name (1 to 64 of A-Z a-z 0-9 _ . -).",
        ),
    ],
)
def test_a_wrong_variable_gets_a_sentence_that_names_it(environ: Mapping[str, str], expected: str) -> None:
    assert sentence(None, environ=environ) == expected


@pytest.mark.parametrize(
    ("variable", "start"),
    [
        (
            "TIDEGATE_SERVR__PORT",
            "servr in the variable TIDEGATE_SERVR__PORT is unknown (did you mean server?)",
        ),
        ("TIDEGATE_PORT", "port in the variable TIDEGATE_PORT is unknown (did you mean server.port?)"),
        ("TIDEGATE_", '"" in the variable TIDEGATE_ is unknown: allowed at the top are audit, auth, '),
        ("TIDEGATE_FOO__BAR__BAZ", "foo in the variable TIDEGATE_FOO__BAR__BAZ is unknown: "),
    ],
)
def test_a_variable_that_is_no_setting_is_an_error(variable: str, start: str) -> None:
    assert sentence(None, environ={variable: "80"}).startswith(start)


def test_the_source_named_is_the_one_that_won(file: Path) -> None:
    file.write_text("[server]\nport = 1\n")
    environ = {"TIDEGATE_SERVER__PORT": "2"}
    assert sentence(file, {"server": {"port": -1}}, environ) == (
        "server.port on the command line is -1, but must be an integer from 0 to 65535."
    )
    assert sentence(file, environ={"TIDEGATE_SERVER__PORT": "-2"}).startswith(
        "server.port in the variable TIDEGATE_SERVER__PORT is -2"
    )


def test_a_contradiction_is_laid_at_the_source_of_its_value(file: Path) -> None:
    file.write_text('[auth]\nmode = "none"\n')
    said = sentence(file, {"server": {"host": "10.0.0.1"}})
    assert said.startswith('server.host on the command line is "10.0.0.1", but must be a loopback address')


def test_a_missing_file_is_named(file: Path) -> None:
    assert sentence(file) == "The configuration file tidegate.toml does not exist."


def test_a_directory_is_no_file(file: Path) -> None:
    file.mkdir()
    assert sentence(file) == "The configuration file tidegate.toml can't be read: Is a directory."


def test_a_file_that_is_not_utf_8_is_refused(file: Path) -> None:
    file.write_bytes(b'[auth]\nmode = "\xff"')
    assert sentence(file) == (
        "The configuration file tidegate.toml is not UTF-8: the byte at offset 15 can't be decoded."
    )


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 100_000], ids=["digits", "depth"])
def test_what_the_parser_can_not_take_is_a_sentence_too(file: Path, text: str) -> None:
    file.write_text(text)
    assert sentence(file).startswith("The configuration file tidegate.toml can't be parsed: ")


def test_a_secret_in_a_variable_is_text_as_it_is() -> None:
    digits = "31415926" * 4
    auth = load_settings(None, environ={"TIDEGATE_AUTH__SECRET": digits}).auth
    assert auth.secret is not None
    assert auth.secret.get_secret_value() == digits


def test_other_settings_without_a_default_are_text_in_a_variable_too() -> None:
    environ = {"TIDEGATE_AUTH__AUDIENCE": "7", "TIDEGATE_AUTH__COOKIE": "session"}
    auth = load_settings(None, environ=environ).auth
    assert (auth.audience, auth.cookie) == ("7", "session")


def test_rules_and_keys_in_variables_are_json() -> None:
    environ = {
        "TIDEGATE_AUTH__GRANTS": '[{"when": {"role": "staff"}, "subscribe": ["order:a=eq.{sub}"]}]',
        "TIDEGATE_AUTH__ANONYMOUS__SUBSCRIBE": '["menu"]',
        "TIDEGATE_AUTH__KEYS": f'[{{"name": "a", "sha256": "{HASH.upper()}"}}]',
    }
    auth = load_settings(None, environ=environ).auth
    assert auth.grants[0].when == {"role": "staff"}
    assert auth.grants[0].subscribe == ("order:a=eq.{sub}",)
    assert auth.anonymous is not None
    assert auth.anonymous.subscribe == ("menu",)
    assert auth.keys[0].sha256.get_secret_value() == HASH


def test_an_empty_table_for_callers_without_a_token_lets_them_in_to_see_nothing(file: Path) -> None:
    file.write_text("[auth.anonymous]")
    assert load_settings(file, environ={}).auth.anonymous is not None
    file.write_text("[auth]")
    assert load_settings(file, environ={}).auth.anonymous is None


def test_static_keys_are_enough_to_ask_for_tokens(file: Path) -> None:
    file.write_text(f'[auth]\nmode = "jwt"\n[[auth.keys]]\nname = "a"\nsha256 = "{HASH}"')
    assert load_settings(file, environ={}).auth.mode == "jwt"
