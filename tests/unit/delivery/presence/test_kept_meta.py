"""For how long the meta is kept of who is not there."""

import pytest

from gateway.delivery.presence import kept_meta
from gateway.delivery.presence.kept_meta import KeptMeta
from gateway.delivery.presence.table import Key
from tests.support.scheduler import ManualScheduler

ANA, BEN = Key("portal", "ana"), Key("portal", "ben")


@pytest.fixture
def forgotten():
    return []


@pytest.fixture
def kept(scheduler: ManualScheduler, forgotten):
    return KeptMeta(scheduler, 30.0, forgotten.append)


def test_each_is_kept_for_as_long_and_forgotten_then(scheduler, kept, forgotten):
    kept.keep(ANA)
    scheduler.run_for(20.0)
    kept.keep(BEN)
    scheduler.run_for(9.9)
    assert forgotten == []
    scheduler.run_for(0.2)
    assert forgotten == [ANA]
    scheduler.run_for(20.0)
    assert forgotten == [ANA, BEN]
    assert (len(kept), scheduler.next_timer()) == (0, None)


def test_time_counts_from_the_last_word_and_not_for_who_came(scheduler, kept, forgotten):
    kept.keep(ANA)
    kept.keep(BEN)
    scheduler.run_for(20.0)
    kept.keep(ANA)
    kept.drop(BEN)
    scheduler.run_for(20.0)
    assert forgotten == []
    scheduler.run_for(10.0)
    assert forgotten == [ANA]


def test_of_too_many_the_one_that_waited_longest_is_forgotten(kept, forgotten):
    for number in range(kept_meta.MOST_KEPT + 1):
        kept.keep(Key("portal", str(number)))
    assert forgotten == [Key("portal", "0")]
    assert len(kept) == kept_meta.MOST_KEPT
