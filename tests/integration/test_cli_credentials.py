"""Commands that present a token or a static key to a gateway (docs/cli.md)."""

import json

import pytest

from tests.support.command import command, run
from tests.support.gateway import make_settings
from tests.support.tokens import auth_settings, mint

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
