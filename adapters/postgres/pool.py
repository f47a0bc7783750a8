"""A few sessions that take turns. Never one that listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from adapters.postgres.connection import Session
from gateway.core.errors import LogError

CLOSE_SECONDS = 1.5
"""How long closing waits for statements that are under way."""


class Pool:
    """At most `size` sessions, made by `connect` when they are needed.

    aiopg's own pool has one address for its life, where ours is looked up anew for each connection: after a
    failover it is another one.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], size: int) -> None:
        self._connect = connect
        self._turns = asyncio.Semaphore(size)
        self._free: list[Session] = []
        self._used: set[Session] = set()
        self._is_closed = False
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session for the time of a `with`, after those who asked before. Raises LogError."""
        async with self._turns:
            session = await self._take()
            try:
                yield session
            finally:
                self._give_back(session)

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs a statement once. Raises LogError; a statement that writes may have been carried out then."""
        async with self.session() as session:
            return await session.fetch(sql, parameters)

    async def _take(self) -> Session:
        if self._is_closed:
            raise LogError("The log is closed: the gateway is stopping.")
        session = self._usable() or await self._connect()
        self._used.add(session)
        return session

    def _usable(self) -> Session | None:
        while self._free:
            session = self._free.pop()
            if session.is_usable:
                return session
            session.close()
        return None

    def _give_back(self, session: Session) -> None:
        self._used.discard(session)
        if self._is_closed or not session.is_usable:
            session.close()
        else:
            self._free.append(session)
        self._returned.set()

    def drop_free(self) -> None:
        """Ends the sessions that nobody uses: after one was lost, the others are likely to be."""
        while self._free:
            self._free.pop().close()

    async def close(self) -> None:
        """Lets statements under way end, at most for CLOSE_SECONDS. Closing twice does nothing."""
        self._is_closed = True
        self.drop_free()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._used:
                    self._returned.clear()
                    await self._returned.wait()
        except TimeoutError:
            for session in list(self._used):
                session.close()
