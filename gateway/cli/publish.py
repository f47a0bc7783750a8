"""`tidegate publish`: JSON from a file or standard input to POST /api/v1/sync/events."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import typer

from gateway.cli import REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.cli.client import credentials, events_url, reason, refusal
from gateway.cli.terminal import note

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?\Z")


def read_events(file: str) -> bytes:
    """The content of `file`, or of standard input for "-". Raises CommandError where it can't be read."""
    if file == "-":
        if sys.stdin.isatty():
            note("reading events from the terminal; end with Ctrl-D on a line of its own")
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CommandError(WRONG_INPUT, f"{file} can't be read: {error.strerror}.") from None


async def publish(gateway: str, body: bytes, idempotency_key: str | None, token: str | None = None) -> None:
    """Publishes `body` as it is, and prints the cursor of its last event. Raises CommandError."""
    url = events_url(gateway)
    headers = {"Content-Type": "application/json", **credentials(token)}
    if idempotency_key is not None:
        if not _HEADER_VALUE.match(idempotency_key):
            raise CommandError(WRONG_INPUT, "--idempotency-key must be 1 to 256 printable ASCII characters.")
        headers["Idempotency-Key"] = idempotency_key
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(url, data=body, headers=headers) as response,
        ):
            status, answer = response.status, await response.read()
    except aiohttp.ClientConnectorError as error:
        raise CommandError(UNREACHABLE, f"can't reach {gateway}: {reason(error)}.") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CommandError(
            UNREACHABLE,
            f"{gateway} gave no answer ({reason(error)}), so the events may be published or not; "
            "with --idempotency-key the same command is safe to repeat.",
        ) from None
    if status not in (200, 201):
        raise refusal(status, answer)
    typer.echo(_cursor(answer))
    if status == 200:
        note("published before under this key: nothing new was published")


def _cursor(answer: bytes) -> str:
    try:
        members: Any = json.loads(answer)
        return str(members["cursor"])
    except (ValueError, TypeError, KeyError):
        raise CommandError(
            REFUSED, "the answer holds no cursor: is there a Tidegate gateway at this address?"
        ) from None
