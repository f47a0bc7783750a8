"""gateway/http/audit.py: what the trail is told of requests."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.access.principal import OPEN, Principal
from gateway.core.credentials import Credentials
from gateway.core.errors import Forbidden, LogError, NoSuchFlag
from gateway.http.audit import GIVEN, MAX_CHANGE_BYTES, MAX_CHARACTERS, MAX_TYPES, Trail, shown, who_of
from gateway.http.client_address import Clients
from gateway.http.principal import PRINCIPAL
from gateway.ports.audit import AuditQuery
from gateway.runtime.audit_recorder import AuditRecorder
from tests.support.audit_store import ShakyAudit
from tests.support.clock import ManualClock
from tests.support.events import an_event
from tests.unit.runtime.test_audit_recorder import Told

FLAG = "/api/v1/admin/flags/orders"


class Refusal(LogError):
    is_refusal = True


@pytest.fixture
async def recorder() -> AuditRecorder:
    clock = ManualClock()
    return AuditRecorder(ShakyAudit(clock), clock, Told())


@pytest.fixture
def trail(recorder: AuditRecorder) -> Trail:
    return Trail(recorder, Clients(()))


async def entries(recorder: AuditRecorder) -> list[dict[str, Any]]:
    return [orjson.loads(entry.body) for entry in await recorder.read(AuditQuery(100))]


def request_of(
    method: str = "POST", path: str = FLAG, principal: Principal | None = OPEN, **headers: str
) -> web.Request:
    request = make_mocked_request(method, path, headers=headers)
    if principal is not None:
        request[PRINCIPAL] = principal
    return request


def of(**members: Any) -> Principal:
    return replace(Principal(), credentials=Credentials(**members))


@pytest.mark.parametrize(
    ("principal", "who"),
    [
        (OPEN, "loopback"),
        (of(subject="ana"), "ana"),
        (of(key="backend"), "key:backend"),
        (of(token_id="t7"), "token:t7"),
        (of(), "anonymous"),
        (None, ""),
        (of(subject="a\0b\n\ud800"), "a\\x00b\\n\\ud800"),
        (of(subject="é漢"), "é漢"),
    ],
)
def test_a_caller_has_a_name(principal: Principal | None, who: str) -> None:
    assert who_of(request_of(principal=principal)) == who


def test_a_name_that_nobody_may_give_itself_is_none() -> None:
    assert who_of(request_of(**{"Tidegate-Operator": "bea"})) == "loopback:bea"
    assert who_of(request_of(**{"Tidegate-Operator": "b" * 101})) == "loopback"


def test_no_text_is_long() -> None:
    assert shown("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS
    assert shown("x" * 1000) == "x" * (MAX_CHARACTERS - 1) + "…"


@pytest.mark.parametrize("status", [200, 201, 204, 302])
async def test_a_change_is_an_entry(trail: Trail, recorder: AuditRecorder, status: int) -> None:
    request = request_of("PATCH")
    request[GIVEN] = {"percentage": 5, "reason": "a trial"}

    trail.answered(request, web.Response(status=status), None)

    [entry] = await entries(recorder)
    assert (entry["status"], entry["change"], entry["reason"]) == (status, {"percentage": 5}, "a trial")
    assert "outcome" not in entry


async def test_a_change_that_may_have_failed_is_one_whose_outcome_nobody_knows(
    trail: Trail, recorder: AuditRecorder
) -> None:
    request = request_of("PUT")
    request[GIVEN] = {"anything": "unchecked", "reason": "a trial"}
    trail.answered(request, web.Response(status=503), LogError("It is away."))

    trail.broken_off(request_of("DELETE"))

    broken, failed = await entries(recorder)
    assert (failed["status"], failed["outcome"], failed["reason"]) == (503, "unknown", "a trial")
    assert "change" not in failed
    assert (broken["method"], broken["outcome"]) == ("DELETE", "unknown")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (("GET", FLAG), None),
        (("POST", "/api/v1/sync/telemetry"), None),
        (("PUT", FLAG), NoSuchFlag("There is none.")),
    ],
)
async def test_what_changes_nothing_is_no_entry(
    trail: Trail, recorder: AuditRecorder, request_: tuple[str, str], error: NoSuchFlag | None
) -> None:
    request = request_of(*request_)
    trail.answered(request, web.Response(status=200 if error is None else error.status), error)
    if error is None:
        trail.broken_off(request)

    assert await entries(recorder) == []


async def test_of_a_large_change_there_is_its_size(trail: Trail, recorder: AuditRecorder) -> None:
    request = request_of("PUT")
    request[GIVEN] = {"targeting": "x" * MAX_CHANGE_BYTES}

    trail.answered(request, web.Response(), None)

    [entry] = await entries(recorder)
    assert entry["changeBytes"] > MAX_CHANGE_BYTES
    assert "change" not in entry


async def test_a_refused_change_is_a_refusal(trail: Trail, recorder: AuditRecorder) -> None:
    error = Forbidden("Not you.")

    trail.answered(request_of("PUT", principal=of(subject="bob")), web.Response(status=403), error)

    [entry] = await entries(recorder)
    assert (entry["kind"], entry["who"], entry["reason"]) == ("auth", "bob", "Not you.")


async def test_a_publish_that_was_refused_is_no_entry(trail: Trail, recorder: AuditRecorder) -> None:
    trail.publish_failed(request_of(), [an_event("order:1")], Refusal("No."))

    assert await entries(recorder) == []


async def test_a_publish_without_an_answer_of_the_log_is_one(trail: Trail, recorder: AuditRecorder) -> None:
    trail.publish_failed(request_of(), [an_event("order:1")], LogError("It is away."))

    [entry] = await entries(recorder)
    assert (entry["kind"], entry["outcome"], entry["events"]) == ("publish", "unknown", 1)


async def test_of_many_types_the_first_are_named(trail: Trail, recorder: AuditRecorder) -> None:
    events = [an_event(f"type{number:02d}:1") for number in range(MAX_TYPES + 5)]

    trail.publish_failed(request_of(), events, LogError("It is away."))

    [entry] = await entries(recorder)
    assert entry["entityTypes"] == [*(f"type{number:02d}" for number in range(MAX_TYPES)), "and 5 more"]
