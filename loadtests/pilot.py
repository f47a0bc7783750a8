"""Moves a component's flag through the administration, as an operator would."""

import http.client
import json
from typing import Any

from loadtests.reader import COMPONENT
from loadtests.sse import Address

FLAG_PATH = f"/api/v1/admin/flags/{COMPONENT}"
ANSWER_SECONDS = 10.0
POLL_INTERVAL_MS = 1000


class PilotError(Exception):
    """The flag could not be changed; the message is for people."""


def set_percentage(address: Address, percentage: int) -> None:
    """Lets so many per cent of the callers stream; makes the flag where there is none. Raises PilotError."""
    change: dict[str, Any] = {"reason": "load test", "percentage": percentage}
    status, tag, _ = _send(address, "GET", None, {})
    if status == 404:
        whole = {**change, "stage": "live", "pollIntervalMs": POLL_INTERVAL_MS}
        status, _, detail = _send(address, "PUT", whole, {"If-None-Match": "*"})
    elif status == 200:
        status, _, detail = _send(address, "PATCH", change, {"If-Match": tag})
    else:
        detail = "it can't be read"
    if status not in (200, 201):
        raise PilotError(f"the flag was not set to {percentage} %: {status} {detail}")


def _send(
    address: Address, method: str, body: dict[str, Any] | None, headers: dict[str, str]
) -> tuple[int, str, str]:
    """The answer's status, its ETag, and its body as text."""
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_SECONDS)
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, FLAG_PATH, content, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return response.status, response.headers.get("ETag", ""), text[:300]
    except (OSError, http.client.HTTPException) as error:
        raise PilotError(f"no answer to {method} {FLAG_PATH}: {error}") from error
    finally:
        connection.close()
