"""Captured tables beside what Django REST Framework makes of them: parity says how they become the same."""

import re
import shlex
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support import backends
from tests.support.admin import FLAGS, Operator, operator
from tests.support.api import HISTORY, JSON, STATE, Client, eventually
from tests.support.clock import ManualClock
from tests.support.command import run
from tests.support.gateway import GatewayThread, make_settings
from tests.support.postgres import log_database

Start = Callable[..., GatewayThread]

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "django-pages.toml"
GUIDE = (DOCS / "backends.md").read_text()
PATH = "/api/bookings/"
FLAG = f"{FLAGS}/bookings"
SETTLE = 2.0
FETCHED = [("Accept", "*/*")]
BOOKING = {"price": "12.50", "starts": "2026-12-01T16:00:00Z", "lasts": "01:30:00", "stage": "placed"}
POLLED = {"ticket": "T0", "price": "13.00"} | {
    "starts": "2026-12-01T10:00:00-06:00",
    "lasts": "01:30:00",
    "stage": "placed",
}
DEARER = POLLED | {"price": "33.00"}
PUSHED = {"ticket_id": "T0", "price": 13.0} | {
    "starts": "2026-12-01T16:00:00+00:00",
    "lasts": "PT1H30M",
    "stage": "placed",
}


class Halls:
    """A gateway before Django, whose table is captured in the very database that has the gateway's log."""

    def __init__(self, gateway: GatewayThread, clock: ManualClock, database: str, admin: Operator) -> None:
        self.client = Client(gateway.port)
        self.database = database
        self._clock = clock
        self._admin = admin

    async def sent(self, method: str, path: str = "", **members: Any) -> None:
        """A write through the gateway, which has to succeed."""
        answer = await self.client.request(method, PATH + path, headers=[JSON], body=orjson.dumps(members))
        assert answer.status < 300, answer.body

    async def book(self) -> None:
        """Makes seven bookings, and waits until the gateway knows of them."""
        for number in range(7):
            await self.sent("POST", ticket=f"T{number}", **BOOKING)

        async def known() -> bool:
            events = (await self.client.get(HISTORY, {"entity": "booking"})).json["events"]
            return len({event["entityId"] for event in events}) == 7

        await eventually(known, "all bookings are known")

    async def parity(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._admin.get(f"{FLAG}/parity")).json()
        return answer

    async def settle(self) -> None:
        """Lets settle windows pass, with an answer compared after each, until no difference is pending."""
        for _ in range(4):
            before = (await self.parity())["samples"]
            self._clock.advance(SETTLE + 0.1)
            assert (await self.client.get(PATH, headers=FETCHED)).status == 200

            async def compared(before: int = before) -> bool:
                return bool((await self.parity())["samples"] > before)

            await eventually(compared, "one more answer is compared")

    async def change_all(self, price: int = 13) -> dict[str, Any]:
        """Writes all bookings anew, and gives the parity of that."""
        async with self.client.stream({"entity": "booking"}) as stream:
            await stream.until("connected")
            for number in range(7):
                await self.sent("PATCH", f"T{number}/", price=f"{number + price}.00")
            for _ in range(7):
                assert (await stream.next()).data["entityId"]
        await self.settle()
        return await self.parity()

    async def state(self) -> dict[str, Any]:
        answer = await self.client.get(STATE, {"entity": "booking"})
        assert answer.status == 200, answer.body
        return {item["entityId"]: item["data"] for item in answer.json["items"]}

    async def proposals(self, way: str) -> list[str]:
        """What `tidegate flags parity` proposes in that way, one for each member."""
        code, out, err = await run(
            "flags", "parity", "bookings", "--url", f"http://127.0.0.1:{self.client.port}"
        )
        assert code == 0, err
        found = re.findall(rf"^(?:booking \S+:|or) {re.escape(way)}\n((?:    .*\n)+)", out, re.MULTILINE)
        return [re.sub(r"^    ", "", lines, flags=re.MULTILINE).strip("\n") for lines in found]


@asynccontextmanager
async def before_django(
    start_gateway: Start, url: str, database: str, directory: Path, *, books: bool = False, **members: Any
) -> AsyncIterator[Halls]:
    """A gateway with the example's route and events from outside; all callers stream. It compares once there
    are bookings: with `books` it makes some before."""
    (route,) = tomllib.loads(EXAMPLE.read_text())["legacy"]
    route |= {"upstream": url + PATH, "interval_seconds": 0.05, "events": "external"} | members
    route["parity"] = {"settle_seconds": SETTLE}
    clock = ManualClock()
    flags = {"store": f"file:{directory / f'flags-{len(members)}.json'}"}
    gateway = start_gateway(make_settings(log={"url": database}, legacy=[route], flags=flags), clock=clock)
    async with operator(gateway.port) as admin:
        halls = Halls(gateway, clock, database, admin)
        await admin.make(FLAG, stage="off")
        if books:
            await halls.book()
        await admin.patch(FLAG, stage="shadow", checkRatio=1)
        await admin.patch(FLAG, stage="live", percentage=100)
        if books:
            await halls.settle()
        yield halls
    gateway.stop()


def documented_query() -> str:
    """The query of the command in docs/backends.md, on one line."""
    (command,) = re.findall(
        r"^ *(tidegate postgres capture booking .*?) *```", GUIDE, re.DOTALL | re.MULTILINE
    )
    return " ".join(shlex.split(command)[-1].split())


async def capture(database: str, *options: str) -> None:
    arguments = ("booking", "--entity", "booking", "--key", "ticket_id", *options)
    code, out, err = await run("postgres", "capture", *arguments, "--url", database)
    assert (code, out) == (0, "captured booking as booking\n"), err


@pytest.fixture
async def database() -> AsyncIterator[str]:
    async with log_database() as url:
        yield url


async def test_stock_serializers_and_a_stock_capture_differ_in_kinds_that_parity_names(
    start_gateway, django, database, tmp_path
):
    with backends.django_shop(django, tmp_path, database) as url:
        await capture(database)
        async with before_django(start_gateway, url, database, tmp_path, books=True) as halls:
            report = await halls.change_all()

            # An answer from before a change may agree with what was known then.
            assert report["outcomes"]["mismatch"] >= 7
            kinds = {one["pointer"]: (one["kind"], one["share"]) for one in report["kinds"]["booking"]}
            assert kinds == {
                "/ticket_id": ("name", 1.0),
                "/price": ("number as text", 1.0),
                "/starts": ("instant", 1.0),
                "/lasts": ("duration", 1.0),
            }
            assert (await halls.state())["T0"] == PUSHED
            polled = await halls.client.get(PATH, headers=FETCHED)
            assert polled.json["results"][0] == POLLED


async def test_what_is_proposed_as_a_query_makes_what_is_pushed_what_is_polled(
    start_gateway, django, database, tmp_path
):
    with backends.django_shop(django, tmp_path, database) as url:
        await capture(database)
        async with before_django(start_gateway, url, database, tmp_path, books=True) as halls:
            await halls.change_all()
            columns = await halls.proposals("in --as of the captured table")
            assert len(columns) == 4
        documented = documented_query()
        assert all(column in documented for column in columns), columns
        await capture(database, "--as", documented)

        async with before_django(start_gateway, url, database, tmp_path, max_pages=9) as halls:
            await halls.settle()
            # What other functions made of a list in pages is not compared: another answer has to come first.
            await halls.sent("PATCH", "T0/", price="1.00")
            await halls.settle()
            report = await halls.change_all(33)
            assert (report["consistency"], report["standing"], report["kinds"]) == (1.0, 0, {})
            assert (await halls.state())["T0"] == DEARER

            async with halls.client.stream({"entity": "booking"}) as stream:
                await stream.until("connected")
                await halls.sent("PATCH", "T0/", stage="paid")
                changed = (await stream.next()).data
                assert (changed["eventType"], changed["data"]) == (
                    "booking_updated",
                    DEARER | {"stage": "paid"},
                )
                assert changed["previous"] == DEARER
                # Nothing of what the query gives is another: no event.
                await halls.sent("PATCH", "T0/", stage="paid")
                await halls.client.request("DELETE", f"{PATH}T0/")
                gone = (await stream.next()).data
                assert (gone["eventType"], gone["entityId"]) == ("booking_deleted", "T0")
                assert gone["data"] == gone["previous"] == DEARER | {"stage": "paid"}


async def test_what_is_proposed_as_a_map_makes_what_is_polled_what_is_pushed(
    start_gateway, django, database, tmp_path, monkeypatch
):
    with backends.django_shop(django, tmp_path, database) as url:
        await capture(database)
        async with before_django(start_gateway, url, database, tmp_path, books=True) as halls:
            await halls.change_all()
            pieces = await halls.proposals("in map of the route")
            assert len(pieces) == 4
        lines = ["def same(item):", *(line for piece in pieces for line in piece.splitlines()), "return item"]
        (tmp_path / "pushed_bookings.py").write_text("\n    ".join(lines) + "\n")
        monkeypatch.chdir(tmp_path)

        members = {"map": "pushed_bookings:same", "key": "ticket_id", "max_pages": 9}
        async with before_django(start_gateway, url, database, tmp_path, **members) as halls:
            # What other functions made of a list in pages is not compared: another answer has to come first.
            await halls.sent("PATCH", "T0/", price="1.00")
            await halls.settle()
            report = await halls.change_all(33)
            assert (report["consistency"], report["standing"], report["kinds"]) == (1.0, 0, {})
            assert (await halls.state())["T0"] == PUSHED | {"price": 33.0}
            # Pollers get what they always got.
            polled = await halls.client.get(PATH, headers=FETCHED)
            assert polled.json["results"][0] == DEARER


async def test_a_row_on_which_the_query_fails_is_its_key_alone_and_the_application_notices_nothing(
    start_gateway, django, database, tmp_path
):
    with backends.django_shop(django, tmp_path, database) as url:
        await capture(database, "--as", "select ticket_id as ticket, 1 / (price - 1) as share from row")
        async with (
            before_django(start_gateway, url, database, tmp_path, books=True) as halls,
            halls.client.stream({"entity": "booking"}) as stream,
        ):
            await stream.until("connected")
            await halls.sent("PATCH", "T0/", price="1.00")
            failed = (await stream.next()).data
            assert (failed["eventType"], failed["entityId"]) == ("booking_updated", "T0")
            assert failed["metadata"] == {"omitted": ["data"]}
            answer = await halls.client.get(STATE, {"entity": "booking"})
            # A state without that row would be a wrong one.
            assert answer.status == 503
            await halls.sent("PATCH", "T1/", price="2.00")
            assert (await stream.next()).data["data"]["ticket"] == "T1"
