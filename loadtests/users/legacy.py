"""A client that knows nothing of the gateway: it polls the path it has always polled."""

import time
from datetime import datetime

import orjson
from locust import FastHttpUser, constant_pacing, task

from loadtests.reader import Reader, address_of

PATH = "/api/v1/orders"
ORDER = "order"


class LegacyPoller(FastHttpUser):
    """Polls a legacy route with the ETag it has, once every `interval_seconds`.

    Rows: `GET PATH 200` and `GET PATH 304`; `POLL staleness` for each list with a newer change than the
    last one's, from that change (`updatedAt`) to here. An answer without ETag or Sync-Cursor is a
    failure, and so is a 304 with another ETag than the one that was sent.
    """

    weight = 2
    interval_seconds = 2.0

    def wait_time(self) -> float:
        return float(constant_pacing(self.interval_seconds)(self))

    def on_start(self) -> None:
        address_of(self.host or "")
        self._reader = Reader(self.environment, "POLL", ORDER)
        self._etag = ""
        self._newest = ""

    @task
    def poll(self) -> None:
        """One request, conditional from the second one on."""
        headers = {"If-None-Match": self._etag} if self._etag else {}
        with self.client.get(PATH, headers=headers, catch_response=True) as response:
            response.request_meta["name"] = f"{PATH} {response.status_code}"
            if response.status_code not in (200, 304):
                response.failure(f"answered {response.status_code}")
                return
            etag = response.headers.get("ETag", "")
            if not etag or "Sync-Cursor" not in response.headers:
                response.failure("an answer without ETag or Sync-Cursor")
                return
            if response.status_code == 304:
                if etag != self._etag:
                    response.failure("a 304 with another ETag than the one that was sent")
                return
            self._changed(response.content, etag)

    def _changed(self, body: bytes, etag: str) -> None:
        first, self._etag = not self._etag, etag
        known = self._newest
        self._newest = max((order["updatedAt"] for order in orjson.loads(body)["docs"]), default=known)
        # What the first one shows may have been so for hours. A deletion leaves no time.
        if not first and self._newest > known:
            age = time.time() - datetime.fromisoformat(self._newest).timestamp()
            self._reader.tell("staleness", max(0.0, age) * 1000, size=len(body))
