"""What a legacy route can't be."""

from typing import Any

import pytest

from gateway.ports.legacy_route import LegacyRoute
from tests.support.legacy import legacy_route


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"path": "api/v1/orders"}, "path"),
        ({"path": "/api/../orders"}, "path"),
        ({"path": "/api//orders"}, "path"),
        ({"path": "/api/{id}x"}, "path"),
        ({"path": "/api/{}"}, "path"),
        ({"path": "/api/%6frders"}, "path"),
        ({"component": "my orders"}, "component"),
        ({"entity": ""}, "entity"),
        ({"entity": "x" * 57}, "entity"),
        ({"items": "docs"}, "items"),
        ({"items": "/a~2b"}, "items"),
        ({"key": ""}, "key"),
        ({"changes": {"orderStage": "reset"}}, "changes.orderStage"),
        ({"changes": {"orderStage": "a b"}}, "changes.orderStage"),
        ({"interval_seconds": 0.0}, "interval_seconds"),
        ({"max_body_bytes": 0}, "sizes"),
        ({"max_delete_ratio": 1.1}, "max_delete_ratio"),
        ({"stale_if_error_seconds": -1.0}, "stale_if_error_seconds"),
        ({"upstream": "ftp://host/x"}, "upstream"),
        ({"upstream": "/orders"}, "upstream"),
        ({"upstream": "http://user:secret@host/"}, "upstream"),
        ({"upstream": "http://host/#part"}, "upstream"),
    ],
)
def test_a_route_that_can_not_work_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        legacy_route(**settings)


def test_the_longest_entity_still_makes_event_types() -> None:
    assert isinstance(legacy_route(entity="x" * 56), LegacyRoute)


@pytest.mark.parametrize("path", ["/", "/a", "/a/b-c~d/", "/api/v1/orders:all"])
def test_any_plain_path_can_be_a_route(path: str) -> None:
    assert legacy_route(path=path).path == path
