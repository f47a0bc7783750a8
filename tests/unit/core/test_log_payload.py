"""What a log keeps of an event, and that it reads what it was given before."""

import orjson

from gateway.core.events import event_json, json_rest
from gateway.core.log_payload import from_payload, to_payload
from tests.support.events import an_event, unset_members

EVENT = an_event(
    "order:1",
    data={"a": 1},
    previous={"a": 0},
    source="shop",
    actor={"app": "partner"},
    metadata={"m": 1},
)


def test_a_payload_is_the_event_s_json_without_an_id() -> None:
    members = orjson.loads(event_json(EVENT, "e.1-0", {}))
    del members["id"]
    assert to_payload(EVENT) == orjson.dumps(members)


def test_a_payload_gives_the_event_again() -> None:
    assert unset_members([EVENT]) == set()
    assert from_payload(to_payload(EVENT)) == EVENT
    assert from_payload(to_payload(an_event(None))) == an_event(None)


def test_the_json_of_an_event_that_was_kept_has_its_members_in_the_contract_s_order() -> None:
    members = orjson.loads(to_payload(EVENT))
    # Another version of a node may write them in another order.
    kept = orjson.dumps({"timestamp": members.pop("timestamp")} | members)
    assert json_rest(from_payload(kept)) == json_rest(EVENT)
