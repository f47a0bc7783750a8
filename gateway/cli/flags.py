"""`tidegate flags`: the flags of a running gateway, over HTTP (docs/protocol.md, section 8)."""

import asyncio
import getpass
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import typer
from yarl import URL

from gateway.cli import REFUSED, UNREACHABLE, WRONG_INPUT, CommandError
from gateway.cli.client import credentials, gateway_url, reason, refusal
from gateway.cli.flags_view import change_lines, keyless_lines
from gateway.cli.terminal import note, printable
from gateway.core.events import NAME_PATTERN

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_NAME = re.compile(NAME_PATTERN)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,98}[\x21-\x7e])?\Z")

_KILL_HERE = "  With --local it holds on this node until the flags' store takes it: say it at each node."

Members = Mapping[str, Any]


class Answer(NamedTuple):
    """What the gateway answered to a request that it did not refuse."""

    body: dict[str, Any]
    etag: str | None


class Administration:
    """The administration of the gateway at `gateway`. Every method raises CommandError.

    `operator` is who makes changes, as the history will name it; by default the user of this machine. Where
    the gateway asks for a `token` it is whoever that names.
    """

    def __init__(self, gateway: str, operator: str | None = None, token: str | None = None) -> None:
        self._root = gateway_url(gateway) / "api/v1/admin"
        self._gateway = gateway
        self._who = {**_operator(operator), **credentials(token)}

    def list(self) -> dict[str, Any]:
        """All flags, and the kill switch for everything."""
        return self._ask("GET", self._root / "flags").body

    def show(self, component: str) -> dict[str, Any]:
        return self._ask("GET", self._flag(component)).body

    def set(
        self, component: str, fields: Members, why: str, revision: int | None, *, force: bool = False
    ) -> dict[str, Any]:
        """Changes the flag, or makes it where there is none.

        `revision` is the one that the change is meant for; by default the one that is there when it begins.
        `force` makes it also for a component that is not configured.
        """
        url = self._flag(component)
        body = {**fields, "reason": why}
        if revision is not None:
            return self._ask("PATCH", url, body, {"If-Match": f'"{revision}"'}).body
        try:
            current = self._ask("GET", url).etag
        except _Refused as refused:
            if refused.status != 404:
                raise
            query = {"force": "true"} if force else {}
            return self._ask("PUT", url.with_query(query), body, {"If-None-Match": "*"}).body
        return self._ask("PATCH", url, body, {"If-Match": current or "*"}).body

    def keyless(self, component: str, flag: Members) -> Sequence[str]:
        """What to warn of where the flag's percentage finds no key for most callers.

        The flag has been changed by then, so that a refusal is said and ends nothing.
        """
        try:
            return keyless_lines(flag, self.figures(component, "pollers"))
        except CommandError as error:
            return [f"how many callers have a key is not known: {error}"]

    def delete(self, component: str, why: str, revision: int | None) -> dict[str, Any]:
        """Removes the flag; `revision` is the one that is meant, by default the one that is there."""
        url = self._flag(component)
        tag = self._ask("GET", url).etag if revision is None else f'"{revision}"'
        return self._ask("DELETE", url, {"reason": why}, {"If-Match": tag or "*"}).body

    def rollback(self, component: str, why: str, to_revision: int | None) -> dict[str, Any]:
        target = {} if to_revision is None else {"toRevision": to_revision}
        return self._ask("POST", self._flag(component) / "rollback", {**target, "reason": why}).body

    def switch(self, name: str, component: str | None, why: str, *, local: bool = False) -> dict[str, Any]:
        """`kill`, `unkill` or `rearm` of a component; of everything where there is none.

        `local` is of the gateway's own node, whether or not the flags' store can be reached.
        """
        url = self._root if component is None else self._flag(component)
        place = {"local": True} if local else {}
        try:
            return self._ask("POST", url / name, {"reason": why, **place}).body
        except _Refused as refused:
            if refused.status == 503 and name == "kill" and not local:
                raise CommandError(refused.exit_code, f"{refused}\n{_KILL_HERE}") from None
            raise

    def history(self, component: str | None, limit: int) -> dict[str, Any]:
        """The last `limit` revisions of a flag; without a component, of the kill switch for everything."""
        url = self._root / "kill" if component is None else self._flag(component) / "revisions"
        return self._ask("GET", url.with_query(limit=limit)).body

    def figures(self, component: str, name: str, *, each: bool = False) -> dict[str, Any]:
        """`pollers`, `parity`, `telemetry` or `guard` of all nodes; with `each` those of each node beside."""
        query = {"nodes": "true"} if each else {}
        return self._ask("GET", (self._flag(component) / name).with_query(query)).body

    def explain(self, caller: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """What a caller with these parameters would get, and why."""
        return self._ask("GET", (self._root / "explain").with_query(list(caller))).body

    def _flag(self, component: str) -> URL:
        if not _NAME.match(component):
            raise CommandError(WRONG_INPUT, f"{component!r} is no component's name.")
        return self._root / "flags" / component

    def _ask(
        self, method: str, url: URL, body: Members | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return asyncio.run(self._request(method, url, body, {**(headers or {}), **self._who}))

    async def _request(
        self, method: str, url: URL, body: Members | None, headers: Mapping[str, str]
    ) -> Answer:
        data, kind = None, {}
        if body is not None:
            data, kind = _encoded(body), {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(method, url, data=data, headers={**headers, **kind}) as response,
            ):
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            unknown = "" if body is None else " Whether the change was made is not known: look at history."
            sent = not isinstance(error, aiohttp.ClientConnectorError)
            raise CommandError(
                UNREACHABLE, f"can't reach {self._gateway}: {reason(error)}.{unknown if sent else ''}"
            ) from None
        if response.status not in (200, 201):
            raise _Refused(response.status, raw)
        return Answer(_object(raw), response.headers.get("ETag"))


class _Refused(CommandError):
    """The gateway's refusal; one of a stale revision says what changed since."""

    def __init__(self, status: int, raw: bytes) -> None:
        told = refusal(status, raw)
        message = told.message
        if status == 412:
            message = "\n".join([message, *change_lines(_object(raw).get("changes"))])
        super().__init__(told.exit_code, message)
        self.status = status


def read_fields(file: str | None) -> dict[str, Any]:
    """The members of a flag in a JSON file, or on standard input for "-". Raises CommandError."""
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        fields = json.loads(text)
    except OSError as error:
        raise CommandError(WRONG_INPUT, f"{file} can't be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise CommandError(WRONG_INPUT, f"{file} holds no JSON: {error}.") from None
    if not isinstance(fields, dict) or "reason" in fields:
        raise CommandError(WRONG_INPUT, f"{file} must hold one JSON object, the flag's members.")
    return fields


def show_answer(answer: Members, lines: Sequence[str], as_json: bool) -> None:
    """Prints the answer as JSON, or its lines for people."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines))
        if answer.get("stale"):
            why = printable(str(answer.get("staleReason")))
            note(f"the flags' store can't be used ({why}): these are the last good flags")


def _operator(given: str | None) -> dict[str, str]:
    if given is not None:
        if not _HEADER_VALUE.match(given):
            raise CommandError(WRONG_INPUT, "--operator must be 1 to 100 printable ASCII characters.")
        return {"Tidegate-Operator": given}
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A user id without a name, as in many containers: the gateway then knows of nobody but loopback.
        return {}
    return {"Tidegate-Operator": user} if _HEADER_VALUE.match(user) else {}


def _encoded(body: Members) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError:
        raise CommandError(WRONG_INPUT, "every number of a flag must be finite.") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise CommandError(
            REFUSED, "the answer is no JSON object: is there a Tidegate gateway at this address?"
        )
    return answer
