"""Who does what only one node is to do, as those who ask see it; gateway/runtime/leases.py has two kinds.

A lease saves work; it proves nothing. Whoever writes what only its holder may write compares and sets a
version in `store`.
"""

from typing import Protocol

from gateway.ports.shared import SharedStore


class Leases(Protocol):
    """This node's leases, by name. `run` keeps them; every other method may be called meanwhile.

    `store` is what the nodes share beside them, and `is_shared` says whether there may be another node at
    all. Methods raise LogError.
    """

    @property
    def store(self) -> SharedStore: ...

    @property
    def is_shared(self) -> bool: ...

    def holds(self, name: str) -> bool:
        """Whether this node has the lease, as far as it knows."""
        ...

    async def acquire(self, name: str, *, steal: bool = False) -> bool:
        """Takes the lease where nobody has it, or with `steal` where another node does. True: it is ours."""
        ...

    async def release(self, name: str) -> None:
        """Gives the lease back, where this node has it: another may have it at once."""
        ...

    async def release_all(self) -> None:
        """Gives everything back."""
        ...

    async def run(self) -> None:
        """Keeps what is held, until it is cancelled, or for as long as there is something to do for that."""
        ...
