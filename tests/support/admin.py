"""An operator's client: the administration over HTTP, as any HTTP library would use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.http import DEADLINE_SECONDS

FLAGS = "/api/v1/admin/flags"
ORDERS = f"{FLAGS}/orders"
KILL_ALL = "/api/v1/admin/kill"
UNKILL_ALL = "/api/v1/admin/unkill"


class Operator:
    """Sends what it is told to; changes go with a reason and the flag's ETag unless a test says otherwise."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=_fields(headers))

    async def send(self, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
        """`body` as JSON; `If_Match='"1"'` is the header If-Match."""
        return await self.http.request(method, path, json=body, headers=_fields(headers))

    async def make(self, path: str = ORDERS, **fields: Any) -> httpx.Response:
        """A new flag, whether or not the component is configured."""
        response = await self.send("PUT", f"{path}?force=true", {"reason": "made by a test", **fields})
        assert response.status_code == 201, response.text
        return response

    async def patch(self, path: str = ORDERS, **fields: Any) -> httpx.Response:
        """A change of what is there now."""
        tag = (await self.get(path)).headers["ETag"]
        return await self.send("PATCH", path, {"reason": "changed by a test", **fields}, If_Match=tag)

    async def post(self, path: str, reason: str = "a test", **members: Any) -> httpx.Response:
        return await self.send("POST", path, {"reason": reason, **members})


@asynccontextmanager
async def operator(port: int) -> AsyncIterator[Operator]:
    """An operator on this machine."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_SECONDS, trust_env=False
    ) as http:
        yield Operator(http)


def refused(response: httpx.Response, status: int, *places: str) -> Any:
    """The problem that a refusal is; `places` are the pointers or parameters that it names."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert [error.get("pointer", error.get("parameter")) for error in problem.get("errors", [])] == [*places]
    return problem


def _fields(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
