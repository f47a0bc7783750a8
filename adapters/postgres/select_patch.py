"""aiopg looks at a broken connection with `select.select`, which can't do with descriptors of 1024 and more.

In aiopg 1.4.0 the ValueError that it raises then ends the callback before anybody who waits on the connection
learns that it broke: `notifies.get()` never wakes. All that aiopg wants to know there is whether the
descriptor is still open, and `os.fstat` says that of any descriptor.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiopg.connection


class _DescriptorCheck:
    """Stands where `aiopg.connection` sees the module `select`."""

    @staticmethod
    def select(readers: Sequence[int], *_: Any) -> None:
        """Raises OSError (EBADF) where a descriptor is closed."""
        for descriptor in readers:
            try:
                os.fstat(descriptor)
            except OSError:
                # aiopg then forgets the descriptor, and with it to take back its interest in writing: uvloop
                # keeps a dead handle under that number, and no later connection with it can be made.
                with suppress(OSError):
                    asyncio.get_running_loop().remove_writer(descriptor)
                raise


def check_descriptors_without_select() -> None:
    """Puts the check in place. Doing it twice does nothing."""
    aiopg.connection.select = _DescriptorCheck  # type: ignore[assignment,attr-defined]
