"""How many streams are open: of all callers, of each subject and of each address. Pure."""

from dataclasses import dataclass
from typing import Literal

from gateway.core.networks import network_of

OpenLimit = Literal["streams", "streams_per_subject", "streams_per_address"]


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """How many streams there may be; 0 for any number."""

    streams: int = 0
    streams_per_subject: int = 0
    streams_per_address: int = 0


class Occupancy:
    """Counts what has a limit, and of subjects and addresses those alone that have a stream open.

    Whatever entered leaves once, with the same subject and address.
    """

    def __init__(self, limits: OpenLimits) -> None:
        self._limits = limits
        self._total = 0
        self._of_subjects: dict[str | None, int] = {}
        self._of_addresses: dict[str | None, int] = {}

    def passed(self, subject: str | None, address: str | None) -> OpenLimit | None:
        """The limit that one more stream would pass; None where there is room."""
        limits = self._limits
        if subject is None and not limits.streams_per_address:
            return "streams" if 0 < limits.streams <= self._total else None
        # None is no key of either.
        if _is_full(self._of_subjects.get(subject, 0), limits.streams_per_subject):
            return "streams_per_subject"
        network = network_of(address) if limits.streams_per_address else None
        if _is_full(self._of_addresses.get(network, 0), limits.streams_per_address):
            return "streams_per_address"
        return "streams" if _is_full(self._total, limits.streams) else None

    def enter(self, subject: str | None, address: str | None) -> None:
        self._count(subject, address, 1)

    def leave(self, subject: str | None, address: str | None) -> None:
        self._count(subject, address, -1)

    def _count(self, subject: str | None, address: str | None, change: int) -> None:
        self._total += change
        if self._limits.streams_per_subject and subject is not None:
            _add(self._of_subjects, subject, change)
        if self._limits.streams_per_address and address is not None:
            _add(self._of_addresses, network_of(address), change)

    def __len__(self) -> int:
        """How many subjects and addresses it remembers."""
        return len(self._of_subjects) + len(self._of_addresses)


def _is_full(count: int, limit: int) -> bool:
    return 0 < limit <= count


def _add(counts: dict[str | None, int], name: str | None, change: int) -> None:
    count = counts.get(name, 0) + change
    if count:
        counts[name] = count
    else:
        counts.pop(name, None)
