"""Wakes readers when another session announces that the log has grown."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from adapters.postgres.connection import Session
from adapters.postgres.faults import translated
from adapters.postgres.statements import statement
from adapters.postgres.troubles import Troubles
from gateway.core.backoff import Backoff
from gateway.core.errors import LogError

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0


class Listener:
    """LISTENs on a connection of its own, and calls `wake` whenever readers should look.

    It is a hint and never the truth: a connection that dies silently announces nothing, so readers look by
    themselves from time to time. After `probe_seconds` without a notification it asks whether the server is
    still there; `failures` counts the connections that were lost or not had.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        wake: Callable[[], None],
        *,
        probe_seconds: float,
        backoff: Backoff | None = None,
        troubles: Troubles | None = None,
    ) -> None:
        self._connect = connect
        self._wake = wake
        self._probe_seconds = probe_seconds
        self._backoff = backoff or Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        self._troubles = troubles or Troubles()
        self.failures: Counter[str] = Counter()
        self.is_listening = False

    async def run(self) -> None:
        """Listens until it is cancelled; connects again with backoff."""
        while True:
            try:
                await self._listen()
            except LogError as error:
                self.failures["log_listener_lost"] += 1
                self._troubles.failed("log_listener", error)
                await asyncio.sleep(self._backoff.next())

    async def _listen(self) -> None:
        session = await self._connect()
        try:
            await session.fetch(statement("log_listen"))
            self._backoff.reset()
            self.is_listening = True
            self._troubles.over("log_listener")
            # For what was announced while nobody listened.
            self._wake()
            while True:
                await self._hear(session)
                self._wake()
        finally:
            self.is_listening = False
            session.close()

    async def _hear(self, session: Session) -> None:
        """Returns at a notification, or once the server has shown that it is there.

        Either way the readers look: aiopg loses a notification that comes in the tick in which waiting for it
        ends.
        """
        try:
            async with asyncio.timeout(self._probe_seconds):
                with translated():
                    await session.notifies.get()
        except TimeoutError:
            await session.fetch(statement("log_probe"))
        while not session.notifies.empty():
            session.notifies.get_nowait()
