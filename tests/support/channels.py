"""What clients say and hear in channels, in the words of docs/protocol.md, section 10."""

from typing import Any

import orjson

from tests.support.api import JSON, Client, Stream
from tests.support.http import Headers, Response

PRESENCE = "/api/v1/sync/presence/"
BROADCAST = "/api/v1/sync/broadcast/"


async def put_meta(
    client: Client, channel: str, meta: Any, *, headers: Headers = (), user: str | None = None
) -> Response:
    """Sets what others see of the caller, which calls itself `user` where it has no token."""
    query = {} if user is None else {"clientId": user}
    body = orjson.dumps({"meta": meta})
    return await client.request("PUT", PRESENCE + channel, query, headers=[JSON, *headers], body=body)


async def say(
    client: Client,
    channel: str,
    event: str,
    payload: Any,
    *,
    headers: Headers = (),
    user: str | None = None,
) -> Response:
    """Broadcasts to the channel."""
    query = {} if user is None else {"clientId": user}
    body = orjson.dumps({"event": event, "payload": payload})
    return await client.request("POST", BROADCAST + channel, query, headers=[JSON, *headers], body=body)


async def users(client: Client, channel: str, *, headers: Headers = ()) -> dict[str, Any]:
    """Who is in the channel."""
    response = await client.get(PRESENCE + channel, headers=headers)
    assert response.status == 200, response.body
    there: dict[str, Any] = response.json["users"]
    return there


class Room:
    """What a stream's `presence` frames of one channel come to: who is there, and with which meta."""

    def __init__(self, stream: Stream, channel: str) -> None:
        self._stream = stream
        self._channel = channel
        self.kinds: list[str] = []
        self.users: dict[str, Any] | None = None

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next frame's type and users; others than of presence are passed over."""
        frame = await self._stream.until("presence")
        assert frame.id is None
        assert frame.data.keys() == {"channel", "type", "users"}
        assert frame.data["channel"] == self._channel
        kind, given = frame.data["type"], frame.data["users"]
        assert all(told.keys() == {"meta"} for told in given.values())
        metas = {user: told["meta"] for user, told in given.items()}
        self.kinds.append(kind)
        if kind == "sync":
            self.users = metas
        else:
            assert self.users is not None, "sync comes first"
            self._change(kind, metas)
        return kind, metas

    def _change(self, kind: str, metas: dict[str, Any]) -> None:
        assert self.users is not None
        assert metas, "a frame that says nothing"
        if kind == "join":
            assert not metas.keys() & self.users.keys()
        else:
            assert metas.keys() <= self.users.keys()
        for user, meta in metas.items():
            if kind == "leave":
                del self.users[user]
            else:
                self.users[user] = meta

    async def becomes(self, users: dict[str, Any]) -> None:
        """Reads on until these are there, and nobody else."""
        while self.users != users:
            await self.next()
