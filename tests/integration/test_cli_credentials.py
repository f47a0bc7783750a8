"""Commands that present a token or a static key to a gateway (docs/cli.md)."""

import json
import re

import pytest

from tests.support.command import command, run
from tests.support.gateway import make_settings
from tests.support.issuer import private_key, public_pem
from tests.support.tokens import SECRET, auth_settings, mint

HELLO = '{"eventType": "hello", "data": {"n": 1}}'
COMMANDS = [
    ("publish",),
    ("tail", "--limit", "1"),
    ("flags", "list"),
    ("flags", "kill", "--all", "--reason", "r"),
]


@pytest.fixture
def url(start_gateway, flags_file):
    settings = make_settings(auth=auth_settings(), flags={"store": f"file:{flags_file}"})
    return f"http://127.0.0.1:{start_gateway(settings).port}"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
async def test_without_a_token_the_gateway_refuses(url, arguments):
    code, out, err = await run(*arguments, "--url", url, text=HELLO)
    assert (code, out) == (3, "")
    assert "401" in err


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("token", ["two words", "line\nbreak", "", "t\u00f6ken", 'quo"te'])
async def test_what_can_be_no_token_is_not_sent_and_not_shown(url, arguments, token):
    code, out, err = await run(*arguments, "--url", url, "--token", token, text=HELLO)
    assert (code, out) == (2, "")
    assert "--token" in err
    assert token == "" or token not in err


async def test_events_are_published_and_followed_with_a_token(url):
    token = mint(subscribe=["*"], publish=["*"])
    async with command("tail", "--url", url, "--json", "--limit", "1", TIDEGATE_TOKEN=token) as tail:
        await tail.note("connected")
        code, _, err = await run("publish", "--url", url, "--token", token, text=HELLO)
        assert (code, err) == (0, "")
        assert json.loads(await tail.line())["data"] == {"n": 1}
        assert (await tail.end())[0] == 0


async def test_a_token_that_is_not_enough_is_refused_in_the_gateway_s_words_and_not_shown(url):
    token = mint(subscribe=["*"])
    code, _, err = await run("publish", "--url", url, "--token", token, text=HELLO)
    assert code == 3
    assert "403" in err
    assert token[-10:] not in err


async def test_flags_are_changed_under_the_token_s_name(url):
    token = mint("ann", admin=True)
    code, out, err = await run(
        *("flags", "kill", "--all", "--reason", "r", "--operator", "eve"), "--url", url, "--token", token
    )
    assert (code, err) == (0, ""), out
    code, out, _ = await run("flags", "history", "--url", url, "--token", token)
    assert code == 0
    assert " ann " in out
    assert "eve" not in out


@pytest.mark.parametrize("name", ["publish", "tail"])
async def test_the_help_does_not_show_the_variable_s_value(name):
    async with command(name, "--help", TIDEGATE_TOKEN="tgk_hunter2") as help_of:
        code, out, _ = await help_of.end()
    assert code == 0
    assert "TIDEGATE_TOKEN" in out
    assert "hunter2" not in out


CONFIG = """
[auth]
mode = "jwt"
public_key_file = "idp.pem"
cookie = "session"
query_token = true

[[auth.keys]]
name = "ci"
sha256 = "{hash}"

[auth.anonymous]
subscribe = ["menu"]
"""


@pytest.fixture
def config(tmp_path):
    """A configuration that names a file with a key, which is not there yet."""
    file = tmp_path / "tidegate.toml"
    file.write_text(CONFIG.format(hash="0" * 64))
    return file


@pytest.mark.parametrize("arguments", [("check-config",), ("check-config", "--json"), ("serve",)])
async def test_a_key_that_can_not_be_used_is_told_before_anything_starts(config, arguments):
    for content, sentence in [
        (None, "auth.public_key_file can't be read: No such file or directory."),
        (b"nonsense", "auth.public_key_file must hold a public key in PEM (-----BEGIN PUBLIC KEY-----)."),
    ]:
        if content is not None:
            (config.parent / "idp.pem").write_bytes(content)
        code, out, err = await run(*arguments, "--config", str(config))
        assert (code, out, err) == (2, "", f"tidegate: {sentence}\n")


async def test_a_configuration_says_whom_it_lets_in_and_shows_no_secret(config):
    (config.parent / "idp.pem").write_bytes(public_pem(private_key("ES256")))
    code, out, _ = await run("check-config", "--config", str(config))
    assert code == 0
    told = [tuple(re.split(" {2,}", line, maxsplit=1)) for line in out.splitlines()]
    assert ("authentication", "tokens by the key in idp.pem, cookie session, access_token in queries") in told
    assert ("static keys", "ci") in told
    assert ("without a token", "as auth.anonymous says") in told
    config.write_text(f'[auth]\nmode = "jwt"\nsecret = "{SECRET}"\n')
    for arguments in ((), ("--json",)):
        code, out, _ = await run("check-config", "--config", str(config), *arguments)
        assert code == 0
        assert SECRET not in out
