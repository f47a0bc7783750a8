"""What the commands that talk to a gateway share: its address, and its refusals in words."""

import json
import os
import re
from typing import Any

import aiohttp
from yarl import URL

from gateway.cli import REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.cli.terminal import printable

EVENTS_PATH = "api/v1/sync/events"
_MAX_SHOWN = 300
# RFC 6750, section 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z", re.ASCII)
_WORTH_A_RETRY = frozenset({408, 425, 429})


def events_url(gateway: str) -> URL:
    """The address of the events of the gateway at `gateway`. Raises CommandError for what is no such URL."""
    return gateway_url(gateway) / EVENTS_PATH


def gateway_url(gateway: str) -> URL:
    """The address of the gateway itself. Raises CommandError for what is no such URL."""
    try:
        url = URL(gateway)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise CommandError(
            WRONG_INPUT,
            f"--url must be the gateway's address, such as http://127.0.0.1:8080, and is {gateway!r}.",
        )
    return url


def credentials(token: str | None) -> dict[str, str]:
    """The header field that presents a token or static key; none without one.

    Raises CommandError for what can't be one, without showing it.
    """
    if token is None:
        return {}
    if not _TOKEN.match(token):
        raise CommandError(
            WRONG_INPUT, "--token (TIDEGATE_TOKEN) must be a token or static key, and is none."
        )
    return {"Authorization": f"Bearer {token}"}


def refusal(status: int, body: bytes) -> CommandError:
    """The error that ends a command after an answer with `status`; a problem body is shown line by line."""
    exit_code = UNREACHABLE if status >= 500 or status in _WORTH_A_RETRY else REFUSED
    return CommandError(exit_code, "\n".join(_problem_lines(status, body)))


def reason(error: Exception) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio's own text repeats the address; a resolver's number is no errno, but its text is good.
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else printable(str(error.os_error.strerror))
    return printable(str(error) or type(error).__name__)


def _problem_lines(status: int, body: bytes) -> list[str]:
    try:
        problem: Any = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict):
        text = body[:_MAX_SHOWN].decode("utf-8", "replace").strip()
        return [f"the gateway answered {status}" + (f": {printable(text)}" if text else " without a reason")]
    words = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
    lines = [f"the gateway answered {status}: {printable(': '.join(words))}"]
    errors = problem.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            place = error.get("pointer", error.get("parameter", "?"))
            lines.append(printable(f"  {place or '(the whole body)'}: {error.get('detail', '')}"))
    return lines
