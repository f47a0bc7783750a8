"""`tidegate explain`: where a caller's grants are from, and why an event does not reach it."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.sqlite import SqliteLog
from gateway.access.static_keys import make_key
from gateway.cli.main import app
from gateway.core.events import Cursor, Position
from gateway.core.revocations import Revocation
from gateway.ports.clock import SystemClock
from tests.support.events import TIMESTAMP, an_event
from tests.support.tokens import SECRET, mint

CONFIG = f"""
[auth]
mode = "jwt"
secret = "{SECRET}"

[[auth.grants]]
when = {{ role = "customer" }}
subscribe = ["invoice:customer_id=eq.{{sub}}"]

[[auth.grants]]
when = {{ role = "staff", level = 2 }}
subscribe = ["*"]
admin = true

[log]
url = "sqlite:///events.db"

[entities.invoice]
id_alias = "invoiceID"
"""
ANONYMOUS = '\n[auth.anonymous]\nsubscribe = ["menu"]\n'
OWN = 'rule 1 grants invoice:customer_id=eq."c-1"'
INVOICE = an_event("invoice:1", data={"customer_id": "c-2", "note": "hunter2"})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Runs commands in a directory with a configuration, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    configure(CONFIG)
    return CliRunner()


def configure(text: str) -> None:
    Path("tidegate.toml").write_text(text)


def customer() -> str:
    return mint("c-1", claims={"role": "customer"})


def explained(run: CliRunner, *options: str, text: str | None = None) -> list[str]:
    result = run.invoke(app, ["explain", *options], input=text)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def refusal(run: CliRunner, *options: str, text: str | None = None) -> tuple[int, str]:
    result = run.invoke(app, ["explain", *options], input=text)
    assert result.stdout == ""
    (sentence,) = result.stderr.splitlines()
    return result.exit_code, sentence.removeprefix("tidegate: ")


def test_a_token_s_grants_are_named_with_the_rules_that_they_are_from(run: CliRunner) -> None:
    subject, scope, passed_over, *grants = explained(run, "--token", customer())
    assert subject == "subject c-1"
    assert scope.startswith("scope ")
    assert len(scope) == len("scope ") + 11
    assert passed_over == "rule 2 is not for this token: role, level have another value, or none"
    assert grants == [OWN]


def test_a_claim_does_not_reach_the_terminal_as_it_is(run: CliRunner) -> None:
    configure(CONFIG + '\n[[auth.grants]]\nsubscribe = ["job:team=eq.{team}"]')
    lines = explained(run, "--token", mint("c-1", claims={"team": "\x1b[31m\n"}))
    assert lines[-1] == 'rule 3 grants job:team=eq."\\x1b[31m\\n"'


def test_the_token_may_come_from_the_environment(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TOKEN", customer())
    assert explained(run)[-1] == OWN


def test_a_static_key_s_grants_are_its_own(run: CliRunner) -> None:
    key, digest = make_key()
    lines = f'\n[[auth.keys]]\nname = "k"\nsha256 = "{digest}"\nsubscribe = ["order"]\npublish = ["job"]\n'
    configure(CONFIG + lines)
    name, _, *grants = explained(run, "--token", key)
    assert name == "key k"
    assert grants == ["key k grants order", "key k grants publishing job"]


def test_without_a_token_it_is_about_whoever_has_none(run: CliRunner) -> None:
    configure(CONFIG + ANONYMOUS)
    assert explained(run)[1:] == ["anonymous grants menu"]
    configure(CONFIG)
    code, sentence = refusal(run)
    assert code == 3
    assert sentence.startswith("Callers without a token get 401")


def test_without_authentication_there_is_nothing_to_explain(run: CliRunner) -> None:
    configure("")
    assert explained(run, "--token", "x") == ['auth.mode is "none": everybody may do everything.']


@pytest.mark.parametrize("token", ["nonsense", mint(lifetime=-1), mint(secret="x" * 32), "tgk_nonsense"])
def test_a_token_that_is_not_valid_is_refused(run: CliRunner, token: str) -> None:
    code, sentence = refusal(run, "--token", token)
    assert code == 3
    assert token not in sentence


def test_an_event_that_does_not_reach_the_caller_is_told_why(run: CliRunner) -> None:
    event = {
        "eventType": "changed",
        "entityType": "invoice",
        "entityId": "1",
        "data": {"customer_id": "c-2", "note": "hunter2"},
    }
    expected = [
        "event of invoice:1 (changed, update)",
        "It does not reach this caller: no grant covers it.",
        f'{OWN}: does not cover it, since customer_id=eq."c-1" does not match',
    ]
    lines = explained(run, "--token", customer(), "--event-json", "-", text=json.dumps(event))
    assert lines[-4:] == ["", *expected]
    # As the gateway sends it, with its id and the alias of its entity's.
    sent = {"id": "e.1-0", **event, "invoiceID": "1"}
    Path("event.json").write_text(json.dumps(sent))
    assert explained(run, "--token", customer(), "--event-json", "event.json")[-3:] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "an event is an object"),
        ("{}", "/eventType: is required"),
        ('{"eventType": "a", "colour": 1}', "/colour: is not a member"),
    ],
)
def test_what_is_no_event_is_refused(run: CliRunner, text: str, said: str) -> None:
    code, sentence = refusal(run, "--token", customer(), "--event-json", "-", text=text)
    assert code == 2
    assert said in sentence


def test_a_file_that_is_not_there_is_named(run: CliRunner) -> None:
    code, sentence = refusal(run, "--token", customer(), "--event-json", "absent.json")
    assert (code, sentence) == (2, "absent.json can't be read: No such file or directory.")


def in_log() -> list[Cursor]:
    """The cursors of two invoices and of a revocation, in the log of CONFIG."""
    revocation = Revocation("subject", "c-1", 0.0, "left").event(TIMESTAMP)

    async def append() -> list[Cursor]:
        log = SqliteLog(Path("events.db"), SystemClock(), max_events=1000, max_age_seconds=1e6)
        await log.start()
        own = an_event("invoice:2", data={"customer_id": "c-1"})
        appended = await log.append([INVOICE, own, revocation])
        await log.close()
        return [Cursor(appended.epoch, position) for position in appended.positions]

    return asyncio.run(append())


def test_an_event_is_read_from_the_log_by_its_cursor(run: CliRunner) -> None:
    others, own, revocation = in_log()
    lines = explained(run, "--token", customer(), "--event", str(others))
    assert lines[-3:-1] == [
        "event of invoice:1 (changed, update)",
        "It does not reach this caller: no grant covers it.",
    ]
    assert "hunter2" not in "".join(lines)
    # Whoever the cursor was given to.
    scoped = str(Cursor(own.epoch, own.position, "AAAAAAAAAAA"))
    assert explained(run, "--token", customer(), "--event", scoped)[-2:] == [
        "It reaches this caller, all of it.",
        f"{OWN}: covers it",
    ]
    assert explained(run, "--token", customer(), "--event", str(revocation))[-1] == (
        "It is a revocation, which reaches nobody."
    )


def test_a_cursor_of_no_event_is_told_so(run: CliRunner) -> None:
    first, own, _ = in_log()
    position = own.position
    for cursor in (
        Cursor("other", position),
        Cursor(first.epoch, Position(position.major, position.minor + 7)),
        Cursor(first.epoch, Position(position.major + 10**9, 0)),
        Cursor(first.epoch, Position(1, 0)),
    ):
        assert refusal(run, "--token", customer(), "--event", str(cursor)) == (
            2,
            "The log holds no event of that cursor.",
        )
    assert refusal(run, "--token", customer(), "--event", "nonsense")[0] == 2


def test_the_log_in_memory_is_another_process_s(run: CliRunner) -> None:
    configure(CONFIG.replace("sqlite:///events.db", "memory://"))
    code, sentence = refusal(run, "--token", customer(), "--event", "e.1-0")
    assert code == 2
    assert "--event-json" in sentence


def test_a_log_that_can_not_be_opened_is_told(run: CliRunner) -> None:
    Path("events.db").write_text("no database" * 1000)
    assert refusal(run, "--token", customer(), "--event", "e.1-0")[0] == 4


def test_only_one_event_is_explained_at_a_time(run: CliRunner) -> None:
    assert refusal(run, "--event", "e.1-0", "--event-json", "-")[0] == 2


def test_keys_that_can_not_be_had_are_told(run: CliRunner) -> None:
    configure('[auth]\nmode = "jwt"\npublic_key_file = "absent.pem"')
    assert refusal(run, "--token", customer())[0] == 2
    configure('[auth]\nmode = "jwt"\njwks_url = "http://127.0.0.1:1/keys"')
    assert refusal(run, "--token", customer())[0] == 4


def test_no_token_counts_where_there_are_static_keys_alone(run: CliRunner) -> None:
    configure(f'[auth]\nmode = "jwt"\n[[auth.keys]]\nname = "k"\nsha256 = "{"0" * 64}"')
    assert refusal(run, "--token", customer())[0] == 3
