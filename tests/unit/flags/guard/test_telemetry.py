"""What clients say, and fail to say, as evidence for the guard."""

from typing import Any

import pytest

from flags.decide.modes import Mode
from flags.guard.telemetry import ClientReport, Fallback, OpenedStream, Receipt, Telemetry
from flags.guard.token_bucket import ClientLimits, Rate
from flags.guard.who import Who

REPORTS = ("web/1",)
ANA = Who("s:ana")
SOMEBODY = Who("a:192.0.2.1", "192.0.2.1")


class Clients:
    """Telemetry on the component `orders`, and what was told of it, in order."""

    def __init__(self, each: Rate | None = None, *, has_others: bool = False, **settings: Any) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.open_ones = 0
        self.forwarded: list[ClientReport] = []
        limits = ClientLimits(each or Rate(1000, 1000), Rate(1000, 100_000), 100, 0.0)
        forward = self.forwarded.append if has_others else None
        self.telemetry = Telemetry(
            self, {"orders", "billing"}.__contains__, limits, forward=forward, **settings
        )
        self.telemetry.reporters.add(REPORTS, ANA.source)

    def acknowledged(self, component: str, who: Who, now: float) -> None:
        self.told.append(("acknowledged", component, who.key))

    def mute(self, component: str, who: Who, now: float) -> None:
        self.told.append(("mute", component, who.key))

    def fell_back(self, component: str, who: Who, now: float, *, is_open: bool = False) -> None:
        self.told.append(("fell_back", component, who.key))
        self.open_ones += is_open

    def blocked(self, component: str, who: Who, now: float) -> None:
        self.told.append(("blocked", component, who.key))

    def open(self, client_id: str, at: float, **members: Any) -> None:
        given: dict[str, Any] = {"attempt": None, "who": ANA, "components": ("orders",), "names": REPORTS}
        self.telemetry.opened(OpenedStream(client_id=client_id, **(given | members)), at)

    def a_report(self, **members: Any) -> ClientReport:
        given: dict[str, Any] = {
            "client": "192.0.2.1",
            "client_id": "s1",
            "component": "orders",
            "mode": Mode.STREAMING,
            "client_version": "web/1",
            "who": SOMEBODY,
        }
        return ClientReport(**(given | members))

    def report(self, at: float, **members: Any) -> tuple[Receipt, float]:
        return self.telemetry.report(self.a_report(**members), at)


ACKNOWLEDGED = ("acknowledged", "orders", "s:ana")
MUTE = ("mute", "orders", "s:ana")
FELL_BACK = ("fell_back", "orders", "s:ana")


def test_a_stream_that_is_acknowledged_in_time_succeeded_for_whom_it_was_opened() -> None:
    clients = Clients()
    clients.open("s1", 1.0)

    assert clients.report(2.0, first_event_ms=80.0) == (Receipt.TAKEN, 0.0)

    assert clients.telemetry.expire(100.0) == 0
    assert clients.told == [ACKNOWLEDGED]


def test_a_stream_that_is_never_acknowledged_is_mute() -> None:
    clients = Clients(deadline_seconds=15.0)
    clients.open("s1", 1.0)
    clients.open("s2", 10.0)

    assert clients.telemetry.expire(15.9) == 0
    assert clients.telemetry.expire(16.0) == 1

    assert clients.told == [MUTE]
    assert clients.telemetry.waiting == 1


@pytest.mark.parametrize("expires", [True, False])
def test_an_acknowledgement_after_the_deadline_changes_nothing(expires: bool) -> None:
    clients = Clients()
    clients.open("s1", 1.0)
    if expires:
        clients.telemetry.expire(20.0)

    clients.report(21.0, first_event_ms=20_000.0)
    clients.telemetry.expire(30.0)

    assert clients.told == [MUTE]
    assert clients.telemetry.unmatched == 0


def test_a_stream_that_is_closed_unacknowledged_is_mute_unless_it_was_brief() -> None:
    clients = Clients(brief_seconds=2.0)
    clients.open("brief", 1.0)
    clients.open("long", 1.0)

    clients.telemetry.closed("brief", 2.0)
    clients.telemetry.closed("long", 9.0)
    clients.telemetry.closed("never-opened", 9.0)

    assert clients.told == [MUTE]


def test_a_stream_of_software_that_never_reported_is_never_mute_but_may_be_acknowledged_and_fall_back() -> (
    None
):
    clients = Clients()
    clients.open("s1", 1.0, names=("native",))
    clients.open("s2", 1.0, names=())
    assert clients.telemetry.waiting == 0

    clients.report(2.0, first_event_ms=1.0)
    clients.telemetry.expire(100.0)
    clients.telemetry.closed("s2", 101.0)
    clients.report(102.0, client_id="s2", fallback=Fallback.SHORT)

    assert clients.told == [ACKNOWLEDGED, FELL_BACK]


@pytest.mark.parametrize("fallback", list(Fallback))
def test_a_client_that_fell_back_counts_once_whatever_its_mode_is_now(fallback: Fallback) -> None:
    clients = Clients()
    clients.open("s1", 1.0)

    for _ in range(10):
        clients.report(3.0, mode=Mode.POLLING, fallback=fallback)

    assert clients.told == [FELL_BACK]


def test_a_fallback_of_a_stream_that_is_open_and_was_acknowledged_says_so() -> None:
    clients = Clients()
    for client_id in ("open", "closed", "mute"):
        clients.open(client_id, 1.0)
    for client_id in ("open", "closed"):
        clients.report(2.0, client_id=client_id, first_event_ms=20)
    clients.telemetry.closed("closed", 3.0)
    for client_id in ("open", "closed", "mute"):
        clients.report(4.0, client_id=client_id, fallback=Fallback.SHORT)
    assert (clients.told.count(FELL_BACK), clients.open_ones) == (3, 1)


def test_a_stream_that_has_closed_can_be_named_for_fifteen_minutes_and_not_be_acknowledged() -> None:
    clients = Clients()
    for client_id in ("s1", "s2"):
        clients.open(client_id, 1.0)
        clients.telemetry.closed(client_id, 2.0)

    clients.report(3.0, first_event_ms=1.0)
    clients.report(902.0, fallback=Fallback.SHORT)
    clients.report(902.1, client_id="s2", fallback=Fallback.SHORT)

    assert clients.told == [FELL_BACK]
    assert clients.telemetry.unmatched == 1
    assert clients.telemetry.remembered == 0


def test_a_stream_that_never_said_who_it_is_is_named_by_its_attempt() -> None:
    clients = Clients()
    clients.open("s1", 1.0, attempt="a1")
    clients.open("s2", 1.0, attempt="a2")

    clients.report(2.0, client_id=None, attempt="a1", first_event_ms=1.0)
    clients.report(3.0, client_id="the-settings-own", attempt="a2", fallback=Fallback.MUTE)

    assert clients.told == [ACKNOWLEDGED, FELL_BACK]


def test_where_id_and_attempt_name_two_streams_the_first_came_through_and_the_second_failed() -> None:
    clients = Clients()
    clients.open("s1", 1.0, attempt="a1", who=Who("s:first"))
    clients.open("s2", 1.0, attempt="a2", who=Who("s:second"))

    clients.report(2.0, attempt="a2", first_event_ms=1.0, fallback=Fallback.SHORT)

    assert clients.told == [("acknowledged", "orders", "s:first"), ("fell_back", "orders", "s:second")]


def test_an_attempt_that_two_streams_have_is_the_last_one_s() -> None:
    clients = Clients()
    clients.open("s1", 1.0, attempt="a", who=Who("s:first"))
    clients.open("s2", 2.0, attempt="a", who=Who("s:second"))
    clients.telemetry.forget("s1")

    clients.report(3.0, client_id=None, attempt="a", first_event_ms=1.0)

    assert clients.told == [("acknowledged", "orders", "s:second")]


def test_reports_on_streams_that_were_never_opened_count_for_nothing() -> None:
    clients = Clients()

    for number in range(50):
        clients.report(1.0, client_id=f"made-up-{number}", attempt=f"a{number}", first_event_ms=1.0)
        clients.report(1.0, client_id=f"made-up-{number}", fallback=Fallback.ERROR)

    assert clients.told == []
    assert clients.telemetry.unmatched == 100
    assert clients.telemetry.remembered == 0
    assert clients.telemetry.summary("orders").fallbacks == {Fallback.ERROR: 50}


def test_whoever_proves_its_name_reports_on_no_stream_of_another_that_does() -> None:
    clients = Clients()
    clients.open("s1", 1.0, who=ANA)
    clients.open("s2", 1.0, who=SOMEBODY)
    clients.report(2.0, client_id="s1", fallback=Fallback.ERROR, proven=Who("s:eve").proven)
    assert (clients.told, clients.telemetry.unmatched) == ([], 1)
    clients.report(3.0, client_id="s1", fallback=Fallback.ERROR, proven=ANA.proven)
    clients.report(3.0, client_id="s2", fallback=Fallback.ERROR, proven=ANA.proven)
    assert clients.telemetry.matched == 2


def test_whoever_could_open_no_stream_says_so_for_itself() -> None:
    clients, of_several = Clients(), Clients(has_others=True)

    for each in (clients, of_several):
        each.report(1.0, fallback=Fallback.BLOCKED)

        assert each.told == [("blocked", "orders", "a:192.0.2.1")]
        assert each.telemetry.unmatched == 0
    # What it was opened with may be known to another node.
    assert [report.fallback for report in of_several.forwarded] == [Fallback.BLOCKED]


def test_what_matches_nothing_is_handed_to_the_other_nodes_once() -> None:
    clients = Clients(has_others=True)
    report = clients.a_report(fallback=Fallback.MUTE)

    clients.telemetry.report(report, 1.0)
    clients.telemetry.told(clients.a_report(client_id="of-another", fallback=Fallback.MUTE), 1.0)

    assert clients.forwarded == [report]
    assert clients.telemetry.matched == 0
    assert (clients.telemetry.forwarded, clients.telemetry.unmatched, clients.told) == (1, 0, [])


def test_what_another_node_could_not_match_counts_here_and_is_noted_there() -> None:
    clients = Clients(has_others=True)
    clients.open("s1", 1.0, attempt="a1")

    clients.telemetry.told(clients.a_report(client=None, who=Who(""), first_event_ms=1.0), 2.0)
    clients.telemetry.told(clients.a_report(client_id=None, attempt="a1", fallback=Fallback.MUTE), 2.0)

    assert clients.told == [ACKNOWLEDGED, FELL_BACK]
    assert clients.telemetry.components() == ()
    assert clients.telemetry.matched == 2


def test_a_client_that_polls_by_choice_says_nothing_of_streaming() -> None:
    clients = Clients()
    clients.open("s1", 1.0)

    clients.report(1.0, mode=Mode.POLLING)

    assert (clients.told, clients.telemetry.unmatched) == ([], 0)
    assert clients.telemetry.summary("orders").reports == {Mode.POLLING: 1}


def test_one_stream_is_acknowledged_once() -> None:
    clients = Clients()
    clients.open("s1", 1.0)

    for _ in range(10):
        clients.report(2.0, first_event_ms=1.0)

    assert clients.told == [ACKNOWLEDGED]


def test_a_stream_counts_for_each_component_that_it_carries() -> None:
    clients = Clients()
    clients.open("s1", 1.0, components=("orders", "billing"))

    clients.telemetry.expire(100.0)

    assert clients.told == [MUTE, ("mute", "billing", "s:ana")]


def test_what_was_taken_away_from_its_client_is_no_evidence() -> None:
    clients = Clients()
    clients.open("s1", 1.0, attempt="a1")
    clients.telemetry.forget("s1")

    clients.telemetry.expire(100.0)
    clients.report(3.0, attempt="a1", fallback=Fallback.MUTE)

    assert clients.told == []


def test_a_component_that_nobody_knows_is_refused_and_takes_no_memory() -> None:
    clients = Clients()

    assert clients.report(1.0, component="made-up", fallback=Fallback.BLOCKED) == (
        Receipt.UNKNOWN_COMPONENT,
        0.0,
    )
    assert clients.telemetry.summary("made-up").reports == {}
    assert clients.told == []


def test_a_flood_is_limited_and_counted() -> None:
    clients = Clients(each=Rate(0.5, 2))

    receipts = [clients.report(1.0, fallback=Fallback.ERROR) for _ in range(100)]

    assert [receipt for receipt, _ in receipts].count(Receipt.TAKEN) == 2
    assert receipts[-1] == (Receipt.LIMITED, 2.0)
    assert clients.telemetry.limited == 98
    assert clients.telemetry.summary("orders").fallbacks == {Fallback.ERROR: 2}


def test_no_more_streams_are_remembered_than_there_is_room_for() -> None:
    clients = Clients(most_streams=3, most_closed=2)
    for number in range(5):
        clients.open(f"s{number}", 1.0, attempt=f"a{number}")
    assert clients.telemetry.unfollowed == 2
    assert clients.telemetry.expire(100.0) == 3

    for number in range(5, 8):
        clients.open(f"s{number}", 101.0, attempt=f"a{number}")
    assert (clients.telemetry.unfollowed, clients.telemetry.remembered) == (5, 3)

    for number in range(8):
        clients.telemetry.closed(f"s{number}", 102.0)
    assert clients.telemetry.remembered == 2
    clients.report(103.0, client_id=None, attempt="a5", fallback=Fallback.SHORT)
    assert clients.telemetry.unmatched == 1


def test_the_summary_tells_fallbacks_by_reason_and_version() -> None:
    clients = Clients()
    clients.report(1.0, client_version="web/2", fallback=Fallback.MUTE)
    clients.report(1.0, client_version="web/2", fallback=Fallback.SHORT)
    clients.report(1.0, client_version="web/1", first_event_ms=200.0)

    summary = clients.telemetry.summary("orders")

    assert summary.reports == {Mode.STREAMING: 3}
    assert summary.fallbacks == {Fallback.MUTE: 1, Fallback.SHORT: 1}
    assert [(hitter.label, hitter.count) for hitter in summary.fallbacks_by_version] == [("web/2", 2)]
    assert summary.first_event_p50_ms == pytest.approx(200.0, rel=0.05)
