"""adapters/upstream/refusals.py: what callers get where there is nothing to serve."""

import pytest
from multidict import CIMultiDict

from adapters.upstream.failures import BadAnswer, NoAnswer, OtherStatus
from adapters.upstream.refusals import refusal_after
from gateway.core.errors import LogError, TidegateError, UpstreamError, UpstreamTimeout
from gateway.ports.upstreams import GivenAnswer, HeldBack, UpstreamAnswered


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LogError("so"), LogError),
        (UpstreamTimeout("so"), UpstreamTimeout),
        (NoAnswer("refused"), UpstreamError),
        (UpstreamError("so"), UpstreamError),
    ],
)
def test_where_there_was_no_answer_each_caller_gets_an_error_of_its_own(
    error: TidegateError, kind: type[TidegateError]
) -> None:
    refusals = [refusal_after(error, 1.0) for _ in range(2)]

    assert [type(refusal) for refusal in refusals] == [kind, kind]
    assert refusals[0] is not refusals[1]
    assert str(refusals[0]) == error.detail


def test_what_can_not_be_handed_out_callers_ask_for_themselves() -> None:
    refusal = refusal_after(BadAnswer("too_large", "so"), 1.0)

    assert isinstance(refusal, HeldBack)
    assert refusal.reason == "miss"


@pytest.mark.parametrize(
    ("left", "seconds", "expected"),
    [
        (90.5, 0.0, {"Retry-After": "91", "Age": "0"}),
        (90.5, 30.9, {"Retry-After": "60", "Age": "30"}),
        (1.0, 2.0, {"Retry-After": "0", "Age": "2"}),
        (None, 2.0, {"Retry-After": "later", "Age": "2"}),
    ],
)
def test_an_answer_is_given_as_it_is_now(
    left: float | None, seconds: float, expected: dict[str, str]
) -> None:
    headers = CIMultiDict({"Retry-After": "later", "X-Why": "so"})
    error = OtherStatus(GivenAnswer(503, headers, b"no", left))
    refusal = refusal_after(error, seconds)

    assert isinstance(refusal, UpstreamAnswered)
    assert refusal.answer.headers == {"X-Why": "so", **expected}
    assert (refusal.answer.status, refusal.answer.body) == (503, b"no")
    assert headers == {"Retry-After": "later", "X-Why": "so"}
