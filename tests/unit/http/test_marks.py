"""gateway/http/marks.py: each mark is made once, in the order in which they were added."""

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.http.answer import Answer
from gateway.http.marks import Marks


async def test_marks_are_made_in_their_order_whoever_makes_the_answer() -> None:
    marks, made = Marks(), []
    request = make_mocked_request("GET", "/")
    for name in ("first", "second"):
        marks.add(lambda asked, reply, name=name: made.append((name, asked, reply)))
    answer, response = Answer(200, CIMultiDict()), web.Response()
    marks.make(request, answer)
    await marks.on_prepare(request, response)
    assert made == [(name, request, reply) for reply in (answer, response) for name in ("first", "second")]


def test_without_a_mark_nothing_is_said() -> None:
    answer = Answer(200, CIMultiDict())
    Marks().make(make_mocked_request("GET", "/"), answer)
    assert not answer.headers
