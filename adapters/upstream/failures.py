"""Why an upstream gave nothing to use, in words for callers and kinds for counters and log lines."""

import errno
import ssl

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from gateway.core.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout
from gateway.core.header_fields import MAX_FIELDS, MAX_HEAD_BYTES, size_of
from gateway.ports.legacy_route import LegacyRoute
from gateway.ports.upstreams import GivenAnswer, UpstreamAnswered

_WORDS = {
    "refused": "The upstream refused the connection.",
    "name": "The upstream's name was not found.",
    "tls": "The upstream and the gateway could not agree on TLS, or its certificate is not trusted.",
    "unreachable": "The upstream could not be reached.",
    "reset": "The upstream broke off the connection.",
    "cut_off": "The upstream's answer ended before its end.",
    "not_http": "The upstream's answer is not HTTP.",
}
_NO_SUCH_LIST = frozenset({400, 404, 410, 422})
_TLS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError, ssl.CertificateError)
_RESET = (aiohttp.ServerDisconnectedError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class BadAnswer(UpstreamError):
    """The upstream's answer can't be used; `kind` names the reason for counters and log lines."""

    title = "The upstream's answer can't be used"
    is_kept = False
    """The answer is kept for callers all the same, as it came."""

    def __init__(self, kind: str, detail: str) -> None:
        UpstreamError.__init__(self, detail)
        self.kind = kind


class OtherStatus(BadAnswer, UpstreamAnswered):
    """The upstream answered with a status that is no list's: what it said may be passed on."""

    def __init__(self, answer: GivenAnswer) -> None:
        BadAnswer.__init__(self, "status", f"The upstream answered with status {answer.status}.")
        self.answer = answer


class TooLarge(BadAnswer):
    """The upstream's answer is over its route's bound, all of its pages together."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__("too_large", f"The upstream's answer is over {max_bytes} bytes.")


class NoAnswer(UpstreamError):
    """No whole answer came from the upstream; `kind` says what happened."""

    def __init__(self, kind: str) -> None:
        super().__init__(_WORDS[kind])
        self.kind = kind


def is_no_such_list(route: LegacyRoute, error: TidegateError) -> bool:
    """Whether an upstream says no more than that it has no list for what a caller put in path or query."""
    return (
        route.is_one_of_many and isinstance(error, UpstreamAnswered) and error.answer.status in _NO_SUCH_LIST
    )


def check_head(answer: aiohttp.ClientResponse) -> None:
    """Raises BadAnswer for an answer that is not to be read on.

    `head_too_large` where it has more of header fields than may be; aiohttp bounds each of them, and their
    number. `encoding` where it came in another transfer coding than chunks: aiohttp takes off those alone.
    """
    if size_of(answer.raw_headers) > MAX_HEAD_BYTES:
        raise _head_too_large()
    for coding in answer.headers.getall("Transfer-Encoding", ()):
        if coding.strip().lower() != "chunked":
            raise BadAnswer("encoding", "The upstream's answer has a transfer coding that was not asked for.")


def no_answer(error: BaseException) -> UpstreamError:
    """What an error of aiohttp's client, or of the system, says of the upstream.

    NoAnswer, but BadAnswer (`head_too_large`) where its header fields are too many or too long.
    """
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NoAnswer("name")
    if isinstance(error, _TLS):
        return NoAnswer("tls")
    if isinstance(error, aiohttp.ClientPayloadError):
        return NoAnswer("cut_off")
    if isinstance(error, _RESET):
        return NoAnswer("reset")
    if isinstance(error, OSError):
        return NoAnswer("refused" if error.errno == errno.ECONNREFUSED else "unreachable")
    return _head_too_large() if _is_over_limit(error) else NoAnswer("not_http")


def _is_over_limit(error: BaseException) -> bool:
    """Whether the parser failed for the size of a head; aiohttp tells that in the error's cause alone."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong) or "Too many headers" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _head_too_large() -> BadAnswer:
    return BadAnswer(
        "head_too_large",
        f"The header fields of the upstream's answer are over {MAX_HEAD_BYTES} bytes in all, or over"
        f" {MAX_FIELDS}.",
    )


def is_out_of_reach(error: TidegateError) -> bool:
    """Whether the upstream itself is the trouble, and not what it says: all that asks there has the same."""
    return isinstance(error, NoAnswer | UpstreamTimeout)


def kind_of(error: TidegateError) -> str:
    """The reason for counters and log lines.

    Beside those of BadAnswer and NoAnswer: `timeout`; `log`, which did not take the events; and `elsewhere`,
    where it is another node that asks, and has no answer.
    """
    if isinstance(error, BadAnswer | NoAnswer):
        return error.kind
    if isinstance(error, UpstreamTimeout):
        return "timeout"
    return "log" if isinstance(error, LogError) else "elsewhere"
