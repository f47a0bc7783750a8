"""The error tree: who erred, with which HTTP status, and the problem body (RFC 9457) that says so.

Drivers' errors are translated where the driver is called, with the cause chained; nothing above an adapter
catches anything but these. A `detail` is written for the caller: it never holds a stack trace, a secret or
a file path.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal


class TidegateError(Exception):
    """Base of everything that Tidegate raises on purpose.

    `detail` is one sentence that tells the caller what to do; `errors` are places in the input, each
    `{"pointer": "/0/eventType", "detail": "…"}` or `{"parameter": "filter", "detail": "…"}`; `headers` go
    onto the answer, `members` into the problem's body (RFC 9457, section 3.2).
    """

    status = 500
    slug = "internal"
    title = "The gateway failed"
    ends_connection = False
    """Whether the rest of the request is not worth reading."""

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def problem(self) -> dict[str, Any]:
        """The body of an `application/problem+json` answer (RFC 9457, section 3.1)."""
        body: dict[str, Any] = {
            "type": f"urn:tidegate:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        return body | self.members


class ClientError(TidegateError):
    """The caller asked for something that can't be."""

    status = 400
    slug = "bad-request"
    title = "Bad request"


class BadParameter(ClientError):
    """A query parameter or header has a value that the contract does not allow."""

    slug = "bad-parameter"
    title = "Bad parameter"

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}", errors=[{"parameter": parameter, "detail": detail}])


class NotAcceptable(ClientError):
    """The caller's Accept header excludes what the resource can give."""

    status = 406
    slug = "not-acceptable"
    title = "Not acceptable"


class ExpectationFailed(ClientError):
    """The caller expects something that the gateway does not do (RFC 9110, section 15.5.18)."""

    status = 417
    slug = "expectation-failed"
    title = "Expectation failed"


class UnknownTransferCoding(ClientError):
    """The request came in a transfer coding that is not known here (RFC 9112, section 6.1)."""

    status = 501
    slug = "unknown-transfer-coding"
    title = "Unknown transfer coding"
    ends_connection = True


class UnsupportedVersion(ClientError):
    """The request is of another version of HTTP (RFC 9110, section 15.6.6)."""

    status = 505
    slug = "unsupported-version"
    title = "Unsupported version of HTTP"
    ends_connection = True


class MalformedBody(ClientError):
    """The body is no JSON, or nested so deeply that nobody means it."""

    slug = "malformed-body"
    title = "Malformed body"


class InvalidInput(ClientError):
    """The body is JSON and breaks the rules; `errors` points at each place. Nothing was changed."""

    status = 422
    slug = "invalid-input"
    title = "Invalid input"


class BadHost(ClientError):
    """What the request names as its host is none (RFC 9112, section 3.2)."""

    slug = "bad-host"
    title = "Bad host"


class MisdirectedRequest(ClientError):
    """The request is for another server: nobody may call the gateway by that name (RFC 9110, 15.5.20)."""

    status = 421
    slug = "misdirected-request"
    title = "Misdirected request"


class Forbidden(ClientError):
    """The caller may not do this."""

    status = 403
    slug = "forbidden"
    title = "Forbidden"


class ForeignOrigin(Forbidden):
    """A page of another origin asks for what only the gateway's own, and those of `cors.origins`, may do."""

    slug = "foreign-origin"
    title = "Foreign origin"


class NoSuchFlag(ClientError):
    """There is no such flag, or no such revision of it."""

    status = 404
    slug = "no-such-flag"
    title = "No such flag"


class NoSuchConnection(ClientError):
    """There is no such stream."""

    status = 404
    slug = "no-such-connection"
    title = "No such connection"


class MoveForbidden(ClientError):
    """The table of stages has no such move; the problem's `allowed` names those it has."""

    status = 409
    slug = "forbidden-move"
    title = "Forbidden move"


class RevisionStale(ClientError):
    """The change was meant for another revision; the problem's `changes` are what happened since."""

    status = 412
    slug = "stale-revision"
    title = "Stale revision"


class PreconditionRequired(ClientError):
    """A change that has to say which revision it is meant for does not (RFC 6585, section 3)."""

    status = 428
    slug = "precondition-required"
    title = "Precondition required"


class TooManyRequests(ClientError):
    """The caller is over its rate (RFC 6585, section 4)."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"

    def __init__(self, detail: str, wait_seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, math.ceil(wait_seconds)))})


class Overloaded(TidegateError):
    """The gateway has as much to do as it may have, whoever asks (RFC 9110, section 15.6.4)."""

    status = 503
    slug = "overloaded"
    title = "Too much at once"

    def __init__(self, detail: str, wait_seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, math.ceil(wait_seconds)))})


class PublisherError(TidegateError):
    """The publisher sent something that can't become events; nothing of it was published."""

    status = 400
    slug = "malformed-body"
    title = "Malformed body"


class BodyTimeout(PublisherError):
    """The request body did not arrive in time (RFC 9110, section 15.5.9)."""

    status = 408
    slug = "body-timeout"
    title = "The request body came too slowly"
    ends_connection = True


class TargetTooLong(ClientError):
    """The request's URL is too long (RFC 9110, section 15.5.15)."""

    status = 414
    slug = "target-too-long"
    title = "URL too long"


class HeadTooLarge(ClientError):
    """The request's header fields are too many, or too long (RFC 6585, section 5)."""

    status = 431
    slug = "head-too-large"
    title = "Header fields too large"


class BodyTooLarge(PublisherError):
    """The request or one of its events is over the configured size."""

    status = 413
    slug = "too-large"
    title = "Too large"
    ends_connection = True


class UnsupportedMediaType(PublisherError):
    """The body's Content-Type is none that can be published."""

    status = 415
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class InvalidEvents(PublisherError):
    """One or more events break the rules; `errors` points at each place."""

    status = 422
    slug = "invalid-events"
    title = "Invalid events"


class IdempotencyConflict(PublisherError):
    """The Idempotency-Key was used before with another body."""

    status = 422
    slug = "idempotency-conflict"
    title = "The Idempotency-Key belongs to another request"


class UpstreamError(TidegateError):
    """The system behind the gateway failed, and there is no snapshot to answer with."""

    status = 502
    slug = "upstream-failed"
    title = "The upstream failed"


class UpstreamTimeout(UpstreamError):
    """The system behind the gateway did not answer in time."""

    status = 504
    slug = "upstream-timeout"
    title = "The upstream did not answer in time"


class LogError(TidegateError):
    """The log is out of reach: nothing was appended, or it is unknown whether it was."""

    status = 503
    slug = "log-unavailable"
    title = "The log is unavailable"

    is_refusal = False
    """Whether the server itself said no to what was asked: nothing was changed then."""


class NoRoomForKey(LogError):
    """No further idempotency key can be kept now, and none may be forgotten yet: nothing was appended."""

    slug = "no-room-for-key"
    title = "No room for another Idempotency-Key"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(
            "Too many requests with an Idempotency-Key came within the time for which keys are kept."
            " Nothing was published: send the same request again later, or several events in one request.",
            headers={"Retry-After": str(max(1, math.ceil(wait_seconds)))},
        )


class FlagsUnavailable(TidegateError):
    """The flags could not be kept: nothing was changed."""

    status = 503
    slug = "flags-unavailable"
    title = "The flags are unavailable"


class FlagsUncertain(TidegateError):
    """The flags may have been changed, and may not: the store's answer was lost, or the disk refused."""

    status = 503
    slug = "flags-uncertain"
    title = "Whether the flags were changed is not known"


class PlaceLost(LogError):
    """What comes after a position can't be told: whoever stood there is told why, and goes on from now."""

    status = 410
    reason: Literal["trimmed", "unknown", "epoch"]
    """That of the `reset` (docs/protocol.md, section 4)."""


class TrimmedError(PlaceLost):
    """Events right after the position asked for are no longer held: the gap can't be filled."""

    slug = "trimmed"
    reason = "trimmed"
    title = "The history was trimmed"


class UnknownPosition(PlaceLost):
    """The log never held an event at the position asked for: nothing can be said of what comes after it."""

    slug = "unknown-position"
    reason = "unknown"
    title = "The log never held that position"


class EpochChanged(PlaceLost):
    """The log has started over: positions of the epoch before mean nothing in it any more."""

    slug = "epoch-changed"
    reason = "epoch"
    title = "The log has started over"


class TargetMoved(LogError):
    """A log that a relay fills does not end where the relay thought: nothing was changed."""

    slug = "target-moved"
    title = "The relay's target has moved"


class ConfigError(TidegateError):
    """A setting is unknown or wrong. `detail` names the key and where it was set."""

    slug = "configuration"
    title = "Wrong configuration"
