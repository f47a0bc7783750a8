"""gateway/access/static_keys.py: keys that are kept as hashes."""

import hashlib

from gateway.access.static_keys import StaticKeys, make_key


def test_a_new_key_is_found_by_its_hash() -> None:
    key, digest = make_key()
    assert key.startswith("tgk_")
    assert len(key) == 47
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    assert StaticKeys({digest: "billing"}).find(key) == "billing"


def test_every_key_is_another() -> None:
    assert len({make_key()[0] for _ in range(100)}) == 100


def test_a_hash_may_be_written_in_capitals() -> None:
    key, digest = make_key()
    assert StaticKeys({digest.upper(): "billing"}).find(key) == "billing"


def test_each_key_has_its_own_name() -> None:
    made = {name: make_key() for name in ("a", "b", "c")}
    keys = StaticKeys({digest: name for name, (_, digest) in made.items()})
    assert {name: keys.find(key) for name, (key, _) in made.items()} == {"a": "a", "b": "b", "c": "c"}


def test_what_is_no_key_is_not_found() -> None:
    key, digest = make_key()
    keys = StaticKeys({digest: "billing"})
    for other in ("", "tgk_", key[:-1], key + "x", key.upper(), digest, "ü", "\ud800"):
        assert keys.find(other) is None


def test_without_keys_none_is_found() -> None:
    assert StaticKeys({}).find(make_key()[0]) is None
