"""A node's entries, and their digests."""

from gateway.delivery.presence.table import BUCKETS, NOTHING, Entry, Key, Table

ANA = Key("portal", "ana")
BEN = Key("portal", "ben")


def test_equal_entries_have_equal_digests_whatever_came_before():
    one, other = Table(), Table()
    assert one.put(ANA, Entry(1, 5, b'{"a":1}'))
    assert one.put(BEN, Entry(2))
    other.put(BEN, Entry(7))
    other.put(ANA, Entry(1))
    assert other.digests != one.digests
    other.put(ANA, Entry(1, 5, b'{"a":1}'))
    other.put(BEN, Entry(2))
    assert other.digests == one.digests
    assert (len(one), one.get(ANA), one.get(Key("other", "ana"))) == (2, Entry(1, 5, b'{"a":1}'), NOTHING)


def test_every_member_of_an_entry_is_in_the_digest():
    digests = set()
    for entry in (Entry(1), Entry(2), Entry(1, 1), Entry(1, 1, b'{"a":1}'), Entry(1, 1, b'{"a":2}')):
        table = Table()
        table.put(ANA, entry)
        digests.add(table.digests[ANA.bucket])
    assert len(digests) == 5


def test_an_entry_that_says_nothing_is_none():
    table = Table()
    assert not table.put(ANA, NOTHING)
    table.put(ANA, Entry(1))
    assert not table.put(ANA, Entry(1))
    assert table.put(ANA, NOTHING)
    assert (len(table), table.bucket(ANA.bucket), table.digests) == (0, [], [0] * BUCKETS)


def test_buckets_have_all_entries_between_them():
    table = Table()
    keys = [Key("portal", f"user-{number}") for number in range(500)]
    for key in keys:
        table.put(key, Entry(1))
    found = [key for number in range(BUCKETS) for key, _ in table.bucket(number)]
    assert sorted(found) == sorted(keys)
    assert all(key.bucket == number for number in range(BUCKETS) for key, _ in table.bucket(number))


def test_a_bucket_is_the_same_on_every_machine():
    assert [Key("portal", name).bucket for name in ("ana", "ben", "ö")] == [13, 14, 11]
