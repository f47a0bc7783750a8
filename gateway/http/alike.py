"""Requests that are alike: the same bytes, but for the words that are one caller's own.

Thousands of clients of one page send the same head, but for who they are, how far they got and their token.
What was found out of one of them holds for all, as far as it does not depend on these words. So the words are
cut out of the bytes, and what is left is what it is remembered by. Only words of harmless characters are cut,
where they stand as browsers write them: put in place of one another, they can't change how a request reads.
Pure.
"""

import re
from typing import NamedTuple

_CLIENT = b"clientId="
_ATTEMPT = b"attempt="
_CURSOR = b"\r\nLast-Event-ID: "
_TOKEN = b"\r\nAuthorization: Bearer "
_EVENTS = b"GET /api/v1/sync/events?"
_WORD = re.compile(rb"[A-Za-z0-9._~:-]{1,128}")
_ATTEMPT_WORD = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_TOKEN_WORD = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
CUT = b"\0"
"""What stands for a word that was cut. No head has it, so what has is not to be taken apart."""


class Words(NamedTuple):
    """What was cut; None where nothing was."""

    client: str | None = None
    cursor: str | None = None
    token: str | None = None
    attempt: str | None = None


_NONE = Words()


def apart(data: bytes) -> tuple[bytes, Words]:
    """The bytes of a request's head without its caller's own words, and these.

    A `clientId` and an `attempt` are cut out of a stream's target alone: that of another may be of a list of
    its own.
    """
    client = cursor = token = attempt = None
    if data.startswith(_EVENTS):
        data, client = _without_parameter(data, _CLIENT, _WORD)
        data, attempt = _without_parameter(data, _ATTEMPT, _ATTEMPT_WORD)
    at = data.find(_CURSOR)
    if at > 0:
        found = _WORD.match(data, at + len(_CURSOR))
        if found is not None and data.startswith(b"\r\n", found.end()):
            cursor = found[0].decode()
            data = data[: found.start()] + CUT + data[found.end() :]
    at = data.find(_TOKEN)
    if at > 0:
        found = _TOKEN_WORD.match(data, at + len(_TOKEN))
        if found is not None and data.startswith(b"\r\n", found.end()):
            token = found[0].decode()
            data = data[: found.start()] + CUT + data[found.end() :]
    if client is None and cursor is None and token is None and attempt is None:
        return data, _NONE
    return data, Words(client, cursor, token, attempt)


def _without_parameter(data: bytes, name: bytes, word: re.Pattern[bytes]) -> tuple[bytes, str | None]:
    """The head of a stream's request without the value of a parameter, and that where it is plain."""
    at = data.find(name, len(_EVENTS) - 1, data.find(b"\r\n"))
    if at > 0 and data[at - 1 : at] in (b"?", b"&"):
        found = word.match(data, at + len(name))
        if found is not None and data[found.end() : found.end() + 1] in (b"&", b" "):
            return data[: found.start()] + CUT + data[found.end() :], found[0].decode()
    return data, None
