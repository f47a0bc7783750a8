"""aiopg looks at a broken connection with `select.select`, which can't do with descriptors of 1024 and more.

In aiopg 1.4.0 the ValueError that it raises then ends the callback before anybody who waits on the connection
learns that it broke: `notifies.get()` never wakes. All that aiopg wants to know there is whether the
descriptor is still open, and `os.fstat` says that of any descriptor.
"""

import os
from collections.abc import Sequence
from typing import Any

import aiopg.connection


class _DescriptorCheck:
    """Stands where `aiopg.connection` sees the module `select`."""

    @staticmethod
    def select(readers: Sequence[int], *_: Any) -> None:
        """Raises OSError (EBADF) where a descriptor is closed."""
        for descriptor in readers:
            os.fstat(descriptor)


def check_descriptors_without_select() -> None:
    """Puts the check in place. Doing it twice does nothing."""
    aiopg.connection.select = _DescriptorCheck  # type: ignore[assignment,attr-defined]
