"""An operator who looks into the audit trail."""

from collections.abc import Sequence
from typing import Any

from tests.support.api import Client, eventually

AUDIT = "/api/v1/admin/audit"

Entries = list[dict[str, Any]]


async def audit(client: Client, **query: Any) -> Entries:
    """The entries that a query means, newest first."""
    response = await client.get(AUDIT, query)
    assert response.status == 200, response.body
    entries: Entries = response.json["entries"]
    return entries


async def audit_becomes(client: Client, expected: Sequence[Any], member: str, **query: Any) -> None:
    """Waits until the entries that a query means have these values, newest first."""

    async def holds() -> bool:
        return [entry.get(member) for entry in await audit(client, **query)] == [*expected]

    await eventually(holds, f"the trail has {expected}")
