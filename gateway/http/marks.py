"""What is said in the head of an answer, and noted of it, whoever makes it: just before it is sent."""

from collections.abc import Callable

from aiohttp import web

from gateway.http.request_head import ReplyHead, RequestHead

Mark = Callable[[RequestHead, ReplyHead], None]
"""Looks at a request and its answer's head, and may add fields to that. It neither waits nor raises."""


class Marks:
    """The marks of one application, in the order in which they are made."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def add(self, mark: Mark) -> None:
        self._marks.append(mark)

    def make(self, request: RequestHead, reply: ReplyHead) -> None:
        """Makes all of them, once for each answer."""
        for mark in self._marks:
            mark(request, reply)

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `Application.on_response_prepare`."""
        self.make(request, response)
