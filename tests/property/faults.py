"""Makes the hub's work fail at any place: each call of what it is made of may raise, when a test says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from gateway.core import control_frames
from gateway.core.hints import Debouncer
from gateway.core.history import History
from gateway.core.selectors import Selector
from gateway.delivery.group import Group
from gateway.delivery.hint_schedule import HintSchedule
from gateway.delivery.hub import Hub
from gateway.delivery.live import Flush, Flushes
from gateway.delivery.observer import Unobserved
from gateway.delivery.replay.log_archive import LogArchive
from gateway.delivery.streams import Streams
from tests.property.log_world import LogWorld
from tests.property.world import NotingTransport, World

PLACES: tuple[tuple[Any, str], ...] = (
    *((Flush, name) for name in ("offer", "frames")),
    *((Group, name) for name in ("hint_frames", "frame", "framed", "framed_apart")),
    *(
        (HintSchedule, name)
        for name in ("plan", "take", "add_pending", "copy_pending", "overdue", "add_recent")
    ),
    *((Debouncer, name) for name in ("observe", "copy", "due")),
    *((Flushes, name) for name in ("leave", "safe_number", "trim")),
    *((History, name) for name in ("after", "cursor", "number_before_time", "entry", "frame_of")),
    *((control_frames, name) for name in ("heartbeat", "refresh", "reset", "bye")),
    (LogArchive, "after"),
    (Streams, "move"),
    (Unobserved, "flushed"),
    (Unobserved, "ended"),
    (Selector, "match"),
    (NotingTransport, "write"),
)
_WORK: tuple[tuple[Any, str], ...] = (
    (Hub, "begin"),
    (Hub, "clogged"),
    (Hub, "drained"),
    (World, "settle"),
    (World, "run_for"),
    (LogWorld, "turn"),
)
"""Within these the hub works; elsewhere a call is the test's own."""


class Fault(NamedTuple):
    """So many calls later something raises."""

    after: int

    def apply(self, world: World) -> None:
        world.calls_until_failure = self.after


@contextmanager
def failing(world: World) -> Iterator[None]:
    """Lets `Fault` reach this world's hub."""
    depth = 0

    def may_fail(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if depth and world.calls_until_failure is not None:
                world.calls_until_failure -= 1
                if world.calls_until_failure <= 0:
                    world.calls_until_failure = None
                    world.failures += 1
                    raise MemoryError
            return real(*args, **kwargs)

        return call

    def works(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            try:
                return real(*args, **kwargs)
            finally:
                depth -= 1

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in PLACES:
            patch.setattr(owner, name, may_fail(getattr(owner, name)))
        for owner, name in _WORK:
            patch.setattr(owner, name, works(getattr(owner, name)))
        patch.setattr(world.scheduler, "step", works(world.scheduler.step))
        yield
