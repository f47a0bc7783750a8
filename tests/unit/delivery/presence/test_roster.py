"""Who is in which channel, by what all nodes say."""

import pytest

from gateway.delivery.presence.roster import Present, Roster
from gateway.delivery.presence.table import NOTHING, Entry, Key

ANA = Key("portal", "ana")


class Told:
    def __init__(self):
        self.changed = []
        self.own = []
        self.roster = Roster(self.changed.append, self.own.append)

    def ana(self):
        return self.roster.users("portal").get("ana")


@pytest.fixture
def told():
    return Told()


def test_a_user_is_there_from_the_first_connection_to_the_last(told):
    roster = told.roster
    roster.join(ANA)
    roster.join(ANA)
    assert told.ana() == Present(2, b"{}")
    assert not roster.leave(ANA)
    assert told.ana() == Present(1, b"{}")
    assert not roster.leave(ANA), "there is nothing to keep"
    assert told.ana() is None
    assert (len(roster.own), roster.size_bytes("portal")) == (0, 0)
    assert told.changed == told.own == [ANA] * 4


def test_connections_to_all_nodes_count(told):
    roster = told.roster
    roster.join(ANA)
    roster.said("b", ANA, Entry(2))
    roster.said("c", ANA, Entry(1))
    assert told.ana() == Present(4, b"{}")
    assert not roster.leave(ANA)
    roster.said("b", ANA, NOTHING)
    roster.said("c", ANA, NOTHING)
    assert told.ana() is None


def test_the_newest_meta_counts_wherever_it_was_set(told):
    roster = told.roster
    roster.said("b", ANA, Entry(1, 500, b'{"n":1}'))
    assert told.ana() == Present(1, b'{"n":1}')
    roster.set_meta(ANA, b'{"n":2}', 100)
    assert told.ana() == Present(1, b'{"n":2}'), "a node whose clock is behind is heard too"
    assert roster.own.get(ANA).version == 501
    roster.said("b", ANA, Entry(1, 700, b'{"n":3}'))
    assert told.ana() == Present(1, b'{"n":3}')


def test_of_metas_with_one_version_all_nodes_take_the_same():
    metas = [b'{"n":1}', b'{"n":2}']
    for order in (metas, metas[::-1]):
        told = Told()
        for node, meta in zip("ab", order, strict=True):
            told.roster.said(node, ANA, Entry(1, 5, meta))
        assert told.ana() == Present(2, b'{"n":2}')


def test_a_node_takes_over_the_meta_of_who_is_connected_to_it_and_says_so(told):
    roster = told.roster
    roster.join(ANA)
    told.own.clear()
    roster.said("b", ANA, Entry(0, 9, b'{"n":1}'))
    assert told.own == [ANA]
    roster.said("b", ANA, NOTHING)
    assert told.ana() == Present(1, b'{"n":1}')


def test_who_comes_to_another_node_is_known_as_before(told):
    told.roster.said("b", ANA, Entry(0, 9, b'{"n":1}'))
    assert told.ana() is None
    told.roster.join(ANA)
    assert told.ana() == Present(1, b'{"n":1}')


def test_meta_is_kept_until_it_is_forgotten_but_not_of_who_is_there(told):
    roster = told.roster
    roster.set_meta(ANA, b'{"n":1}', 100)
    assert told.ana() is None
    roster.join(ANA)
    roster.forget(ANA)
    assert told.ana() == Present(1, b'{"n":1}')
    assert roster.leave(ANA)
    assert len(roster.own) == 1
    roster.forget(ANA)
    assert len(roster.own) == 0


def test_a_bucket_that_is_told_anew_replaces_what_was_told_of_it(told):
    roster = told.roster
    others = [key for key in (Key("portal", f"u{n}") for n in range(1000)) if key.bucket == ANA.bucket]
    roster.said("b", ANA, Entry(1))
    roster.said("b", others[0], Entry(1))
    roster.replace("b", ANA.bucket, {others[0]: Entry(2), others[1]: Entry(1)})
    assert told.ana() is None
    assert roster.users("portal") == {others[0].user: Present(2, b"{}"), others[1].user: Present(1, b"{}")}
    roster.replace("b", ANA.bucket, {})
    roster.forget_node("b")
    assert roster.others == {}


def test_nobody_is_told_of_what_is_as_it_was(told):
    told.roster.said("b", ANA, Entry(1))
    told.changed.clear()
    told.roster.said("b", ANA, Entry(1))
    told.roster.said("b", ANA, Entry(1, 5, b"{}"))
    assert told.changed == []


def test_the_size_of_a_channel_is_about_that_of_its_users(told):
    roster = told.roster
    for number in range(100):
        roster.join(Key("portal", f"user-{number:03}"))
    assert roster.size_bytes("portal") == 100 * (8 + 2 + 12)
    assert roster.size_bytes("other") == 0
