"""adapters/postgres/identity.py: which of several servers is the log's, and what the newest event is."""

import pytest

from adapters.postgres.connection import Server, Session
from adapters.postgres.identity import Newest, Servers, epoch_of
from gateway.core.errors import LogError
from gateway.core.events import ORIGIN, Position

PRIMARY = Server("7001", 1, "2026-01-01")
PROMOTED = PRIMARY._replace(timeline=2)
COPY = PRIMARY._replace(started="2026-01-02")
OTHER = Server("7002", 1, "2026-01-03")


class FakeSession(Session):
    """A session without a connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("later", [PROMOTED, COPY, OTHER], ids=["promoted", "copy", "another"])
def test_the_later_server_is_the_log_s_and_sessions_with_the_one_before_end(later: Server) -> None:
    servers = Servers()
    before = [FakeSession(PRIMARY), FakeSession(PRIMARY)]
    after = [FakeSession(later), FakeSession(later)]
    for session in before + after:
        servers.admit(session)
    assert [session.is_closed for session in before] == [True, True]
    assert [session.is_closed for session in after] == [False, False]


def test_a_server_that_was_promoted_away_from_is_refused_and_the_sessions_stay() -> None:
    servers = Servers()
    session = FakeSession(PROMOTED)
    servers.admit(session)
    with pytest.raises(LogError, match="another one was promoted"):
        servers.admit(FakeSession(PRIMARY))
    assert not session.is_closed


def test_an_epoch_is_one_of_a_system_a_timeline_and_a_history_and_not_of_a_start() -> None:
    epochs = {epoch_of(server, history) for server in (PRIMARY, PROMOTED, OTHER) for history in ("a", "b")}
    assert len(epochs) == 6
    assert epoch_of(PRIMARY, "a") == epoch_of(COPY, "a")


def test_the_newest_event_only_grows_within_an_epoch() -> None:
    newest = Newest()
    assert newest.position == ORIGIN
    newest = newest.with_event("a", Position(5, 1)).with_event("a", Position(3, 9))
    assert newest == ("a", Position(5, 1))
    assert newest.with_event("b", Position(2, 1)) == ("b", Position(2, 1))
