"""gateway/http/attempt.py: how one opening of a stream is called."""

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.core.errors import BadParameter
from gateway.http.attempt import attempt_of
from gateway.http.parameters import ATTEMPT


def of(query: str) -> str | None:
    return attempt_of(make_mocked_request("GET", f"/?{query}"))


@pytest.mark.parametrize(
    ("query", "attempt"),
    [
        ("", None),
        ("entity=order", None),
        ("attempt=a", "a"),
        ("attempt=a_1-Z", "a_1-Z"),
        ("attempt=a&attempt=b", "a"),
        ("%61ttempt=%61", "a"),
        (f"attempt={'a' * 64}", "a" * 64),
    ],
)
def test_an_attempt_is_what_the_request_calls_it(query: str, attempt: str | None) -> None:
    assert of(query) == attempt


@pytest.mark.parametrize("text", ["", "a" * 65, "a.b", "a%20b", "a%0A", "%C3%A9", "a~b"])
def test_one_that_is_no_plain_word_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        of(f"attempt={text}")
    assert [place["parameter"] for place in refused.value.errors] == ["attempt"]


def test_what_the_front_door_has_read_is_not_read_again() -> None:
    request = make_mocked_request("GET", "/?attempt=of-another")
    request[ATTEMPT] = "own"
    assert attempt_of(request) == "own"
