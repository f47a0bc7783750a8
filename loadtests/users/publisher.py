"""A client that publishes at a constant rate, numbering what it publishes."""

import secrets
from datetime import UTC, datetime
from typing import Any

import orjson
from locust import FastHttpUser, constant_pacing, task

from loadtests.board import board_of, lane_of
from loadtests.reader import EVENTS_PATH, NOTE, TICKET, address_of

NAMES = 100
CREATED = (200, 201)


class Publisher(FastHttpUser):
    """Publishes a note and a ticket in one request, once every `interval_seconds`.

    Each is numbered on a lane of its own. A request that failed is sent again as it was, with the same
    Idempotency-Key: whether it arrived or not, its events are there once. Row: `POST publish`.
    """

    fixed_count = 1
    interval_seconds = 0.1

    def wait_time(self) -> float:
        return float(constant_pacing(self.interval_seconds)(self))

    def on_start(self) -> None:
        address_of(self.host or "")
        self._board = board_of(self.environment)
        self._name = secrets.token_hex(4)
        self._number = 0
        self._unanswered: bytes | None = None

    @task
    def publish(self) -> None:
        """The next two events, or again those of which nobody knows whether they arrived."""
        if not self._board.is_publishing:
            return
        body = self._unanswered or orjson.dumps([self._event(NOTE), self._event(TICKET)])
        for kind in (NOTE, TICKET):
            self._board.offered[self._lane(kind)] = self._number + 1
        self._unanswered = body
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{self._name}-{self._number}"}
        with self.client.post(
            EVENTS_PATH, data=body, headers=headers, name="publish", catch_response=True
        ) as response:
            if response.status_code not in CREATED:
                response.failure(f"answered {response.status_code}")
                return
        self._unanswered = None
        self._number += 1
        for kind in (NOTE, TICKET):
            self._board.published[self._lane(kind)] = self._number

    def _lane(self, kind: str) -> str:
        return lane_of(self._name, kind)

    def _event(self, kind: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "eventType": f"{kind}_updated",
            "entityType": kind,
            "entityId": f"{kind.upper()}-{self._number % NAMES}",
            "data": {"lane": self._lane(kind), "number": self._number},
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
