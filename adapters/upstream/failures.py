"""Why an upstream gave nothing to use, in words for callers and kinds for counters and log lines."""

import errno
import ssl

import aiohttp

from gateway.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout

_WORDS = {
    "refused": "The upstream refused the connection.",
    "name": "The upstream's name was not found.",
    "tls": "The upstream and the gateway could not agree on TLS, or its certificate is not trusted.",
    "unreachable": "The upstream could not be reached.",
    "reset": "The upstream broke off the connection.",
    "cut_off": "The upstream's answer ended before its end.",
    "not_http": "The upstream's answer is not HTTP.",
}
_TLS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError, ssl.CertificateError)
_RESET = (aiohttp.ServerDisconnectedError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


class BadAnswer(UpstreamError):
    """The upstream's answer can't be used; `kind` names the reason for counters and log lines."""

    title = "The upstream's answer can't be used"

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class NoAnswer(UpstreamError):
    """No whole answer came from the upstream; `kind` says what happened."""

    def __init__(self, kind: str) -> None:
        super().__init__(_WORDS[kind])
        self.kind = kind


def no_answer(error: BaseException) -> NoAnswer:
    """What an error of aiohttp's client, or of the system, says of the upstream."""
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
    return NoAnswer("not_http")


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
