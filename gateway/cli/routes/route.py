"""`tidegate route`: asks an upstream, and prints a legacy route that fits its answer."""

import asyncio
import os
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from multidict import CIMultiDict
from pydantic import ValidationError

from adapters.upstream.asking.fetch import Polls
from adapters.upstream.failures import kind_of
from gateway.cli import REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.cli.routes.advice import Refused, advice_on_failure, advice_on_status
from gateway.cli.routes.asking import polls_of
from gateway.cli.routes.guess import Answer, Guess, guess
from gateway.cli.routes.request import Asked, request_settings
from gateway.cli.routes.toml import as_toml
from gateway.cli.terminal import note, printable
from gateway.core.errors import UpstreamError
from gateway.ports.clock import SystemClock
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import UpstreamAnswered
from gateway.service.settings import Settings
from gateway.service.variables import CantFillIn, route_filled_in
from gateway.service.wiring.routes import legacy_route

_OPTIONS = {
    401: "--header 'Authorization: …'",
    405: "--method POST --body '…'",
    406: "--header 'Accept: …'",
    415: "--header 'Content-Type: …'",
}
"""What the command line has against a refusal, by its status."""

_WORTH_A_RETRY = frozenset({408, 425, 429})


def asked_for(url: str, method: str | None, body: str | None, headers: list[str]) -> Asked:
    """What the command line says is to be asked. Raises CommandError for what can't be sent.

    `body` may be `@` and the name of a file. With a body the method is POST unless it is said.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(
            WRONG_INPUT, "URL must be one of http:// or https://, such as http://127.0.0.1:9000/orders."
        )
    if parts.username is not None or parts.password is not None:
        raise CommandError(
            WRONG_INPUT,
            "URL must not hold a user name or a password: give --header 'Authorization: Basic …' instead.",
        )
    fields: dict[str, tuple[str, str]] = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise CommandError(
                WRONG_INPUT, "--header must be a name, a colon and a value: 'Accept: text/csv'."
            )
        fields[name.strip().lower()] = (name.strip(), value.strip())
    if body is not None and body.startswith("@"):
        body = _read(body[1:])
    return Asked(url, method or ("GET" if body is None else "POST"), body, tuple(fields.values()))


async def route(asked: Asked, ca_file: str | None, pause_seconds: float) -> list[str]:
    """The lines of a route for what is asked, of two answers. Raises CommandError where there is none."""
    provisional = _provisional(asked, ca_file)
    async with polls_of([provisional], SystemClock()) as polls:
        note(f"asking {provisional.url.host}")
        answers = [await _answer(polls, provisional)]
        note(f"asking again in {pause_seconds:g} s, for what changes from answer to answer")
        await asyncio.sleep(pause_seconds)
        try:
            answers.append(await _answer(polls, provisional))
        except CommandError:
            note("the second time there was no such answer: what changes is not known")
    made = guess(asked, answers)
    if ca_file is not None:
        made.settings["ca_file"] = ca_file
    _check(made, asked)
    return [printable(line) for line in as_toml(made)]


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(WRONG_INPUT, f"--body: {file} can't be read: {reason}.") from None


def _provisional(asked: Asked, ca_file: str | None) -> LegacyRoute:
    """A route that asks what is to be asked, whatever the answer. Raises CommandError."""
    said = request_settings(asked, "route")
    sent = {
        name: value
        for name, value in said.settings.items()
        if name in ("upstream", "query", "headers", "method", "body", "content_type")
    }
    given = {
        "component": "route",
        "path": "/route",
        "entity": "item",
        "key": "id",
        "shared": True,
        **sent,
        **({"ca_file": ca_file} if ca_file is not None else {}),
        "empty": [204],
    }
    settings = _settings(given, said.variables)
    return legacy_route(settings.legacy[0], settings.base_dir, settings.publish.max_event_bytes)


def _check(made: Guess, asked: Asked) -> None:
    """What is printed can be used: raises CommandError otherwise."""
    _settings(made.settings, request_settings(asked, made.settings["component"]).variables)


def _settings(route: dict[str, object], variables: dict[str, str]) -> Settings:
    try:
        return Settings.model_validate({"legacy": [route_filled_in(route, {**os.environ, **variables})]})
    except CantFillIn as error:
        raise CommandError(WRONG_INPUT, f"{'.'.join(error.path)} {error}.") from None
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(step) for step in (found.get("ctx", {}).get("path") or found["loc"])[2:])
        raise CommandError(WRONG_INPUT, f"What is to be asked can't be: {where} {found['msg']}.") from None


async def _answer(polls: Polls, route: LegacyRoute) -> Answer:
    begun = monotonic()
    try:
        fetched = await polls.fetch(route, {})
    except UpstreamError as error:
        raise _refusal(route, error) from error
    assert fetched is not None, "without validators there is no 304"
    return Answer(fetched.status, CIMultiDict(fetched.headers), fetched.body, monotonic() - begun)


def _refusal(route: LegacyRoute, error: UpstreamError) -> CommandError:
    if isinstance(error, UpstreamAnswered):
        status = error.answer.status
        advice = advice_on_status(route, Refused(status, error.answer.headers))
        advice += [f"Here: {_OPTIONS[status]}."] if status in _OPTIONS else []
        code = UNREACHABLE if status >= 500 or status in _WORTH_A_RETRY else REFUSED
    else:
        advice, code = advice_on_failure(kind_of(error)), UNREACHABLE
    return CommandError(code, printable(" ".join([error.detail, *advice])))
