"""What a revocation covers, how it stands in the log, and where it ends whom."""

from typing import Any

import pytest

from gateway.core.credentials import NOBODY, Credentials
from gateway.core.events import ORIGIN, REVOCATION, Cursor, Event, Position
from gateway.core.revocations import MOST_PLACES, Kind, Revocation, Revocations

NOW = 1_732_125_600.0


def revocation(kind: Kind = "subject", name: str = "ana", issued_before: float = NOW) -> Revocation:
    return Revocation(kind, name, issued_before, "left")


def at(major: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch, Position(major, 0))


def ana(issued_at: float | None = NOW - 1, **others: Any) -> Credentials:
    return Credentials(subject="ana", issued_at=issued_at, **others)


@pytest.mark.parametrize(
    ("given", "credentials", "covers"),
    [
        (revocation(), ana(NOW - 0.001), True),
        (revocation(), ana(NOW), False),
        (revocation(), ana(NOW + 1), False),
        (revocation(), ana(None), True),
        (revocation(), Credentials(subject="Ana", issued_at=NOW - 1), False),
        (revocation(), Credentials(token_id="ana", issued_at=NOW - 1), False),
        (revocation(), Credentials(key="ana"), False),
        (revocation(), NOBODY, False),
        (revocation("tokenId", "t1"), ana(token_id="t1"), True),
        (revocation("tokenId", "t1"), ana(NOW, token_id="t1"), False),
        (revocation("tokenId", "t1"), ana(), False),
        (revocation("key", "ci", 0.0), Credentials(key="ci"), True),
        (revocation("key", "ci", 0.0), Credentials(key="cd"), False),
        (revocation("subject", ""), Credentials(subject="", issued_at=1.0), True),
    ],
)
def test_it_covers_what_was_issued_before_and_what_does_not_say_when(
    given: Revocation, credentials: Credentials, covers: bool
) -> None:
    assert given.covers(credentials) is covers


@pytest.mark.parametrize("kind", ["subject", "tokenId", "key"])
def test_an_event_of_the_log_gives_it_back(kind: Kind) -> None:
    given = revocation(kind, 'a "b" 𝄞', NOW + 0.123)._replace(made_at=NOW + 0.5)
    event = given.event("2026-11-20T10:30:00.123Z")
    assert (event.event_type, event.entity_type, event.action) == (REVOCATION, None, "signal")
    assert Revocation.of(event) == given


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"subject": "ana"},
        {"issuedBefore": 1},
        {"subject": "ana", "key": "ci", "issuedBefore": 1},
        {"subject": 7, "issuedBefore": 1},
        {"subject": None, "issuedBefore": 1},
        {"subject": "ana", "issuedBefore": "1"},
        {"subject": "ana", "issuedBefore": True},
        {"subject": "ana", "issuedBefore": None},
        {"subject": "ana", "issuedBefore": 1, "reason": 7},
        {"subject": "ana", "issuedBefore": 1, "madeAt": None},
    ],
)
def test_what_is_malformed_is_none(data: dict[str, Any] | None) -> None:
    assert Revocation.of(Event(REVOCATION, None, None, "signal", "2026-11-20T10:30:00.123Z", data)) is None


def test_credentials_end_at_the_first_place_that_covers_them_in_whatever_way() -> None:
    held = Revocations()
    held.add(revocation(issued_before=NOW), at(5))
    held.add(revocation(issued_before=NOW + 10), at(7))
    held.add(revocation("tokenId", "t1"), at(3))
    assert held.end_of(ana(), "e") == Position(5, 0)
    assert held.end_of(ana(NOW + 5), "e") == Position(7, 0)
    assert held.end_of(ana(token_id="t1"), "e") == Position(3, 0)
    assert held.end_of(ana(NOW + 10), "e") is None
    assert held.end_of(NOBODY, "e") is None
    assert held.end_of(None, "e") is None


def test_one_of_another_epoch_comes_before_everything() -> None:
    held = Revocations()
    held.add(revocation(), at(5))
    assert held.end_of(ana(), "f") == ORIGIN


def test_one_that_covers_no_more_than_those_before_it_changes_nothing() -> None:
    held = Revocations()
    assert held.add(revocation(), at(5))
    assert not held.add(revocation(), at(5))
    assert not held.add(revocation(issued_before=NOW - 1), at(6))
    assert held.add(revocation("key", "ci"), at(7))
    assert not held.add(revocation("key", "ci", NOW + 9), at(8))
    assert [(one.revocation.name, one.cursor) for one in held] == [("ana", at(5)), ("ci", at(7))]
    assert (len(held), ("subject", "ana") in held, ("tokenId", "ana") in held) == (2, True, False)
    assert held.get(("subject", "bo")) is None


def test_however_often_a_subject_is_revoked_its_newest_time_counts_and_none_ends_late() -> None:
    held = Revocations()
    for number in range(3 * MOST_PLACES):
        held.add(revocation(issued_before=NOW + number), at(10 + number))
    newest = held.get(("subject", "ana"))
    assert newest is not None
    assert newest.revocation.issued_before == NOW + 3 * MOST_PLACES - 1
    for number in range(3 * MOST_PLACES):
        end = held.end_of(ana(NOW + number - 0.5), "e")
        assert end is not None
        assert end <= Position(10 + number, 0)


def test_those_of_tokens_go_when_they_are_old_and_those_of_keys_stay() -> None:
    held = Revocations()
    held.add(revocation(issued_before=NOW - 100.5), at(1))
    held.add(revocation("tokenId", "t1", NOW - 99.5), at(2))
    held.add(revocation("key", "ci", NOW - 1000), at(3))
    # Of old tokens, and made of late.
    held.add(revocation("subject", "bo", NOW - 1000)._replace(made_at=NOW - 99.5), at(4))
    held.expire(NOW, 100.0)
    assert [one.revocation.name for one in held] == ["t1", "ci", "bo"]
