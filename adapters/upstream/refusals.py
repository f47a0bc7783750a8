"""What callers get where an upstream gave nothing that could be served."""

import math

from adapters.upstream.failures import BadAnswer
from gateway.core.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout
from gateway.ports.upstreams import GivenAnswer, HeldBack, UpstreamAnswered


def refusal_after(error: TidegateError, seconds: float) -> Exception:
    """What is raised to one caller, so long after the poll that failed with `error`.

    UpstreamAnswered where that is to be passed on; HeldBack where it answered with what can't be handed out
    from here, as what is too long or in a coding that was not asked for: the caller may have a use for it all
    the same. Else UpstreamError, UpstreamTimeout or LogError. Each time it is another object: raising one and
    the same for many would grow its traceback.
    """
    if isinstance(error, LogError):
        return LogError(error.detail)
    if isinstance(error, UpstreamAnswered):
        return UpstreamAnswered(error.detail, _given_since(error.answer, seconds))
    if isinstance(error, BadAnswer):
        return HeldBack("miss")
    kind = UpstreamTimeout if isinstance(error, UpstreamTimeout) else UpstreamError
    return kind(error.detail)


def _given_since(answer: GivenAnswer, seconds: float) -> GivenAnswer:
    """An answer that was given so long ago, as it is to be given to a caller now (RFC 9111, section 5.1)."""
    headers = answer.headers.copy()
    headers["Age"] = str(int(seconds))
    left = answer.retry_after_seconds
    if left is not None:
        left = max(0.0, left - seconds)
        headers["Retry-After"] = str(math.ceil(left))
    return answer._replace(headers=headers, retry_after_seconds=left)
