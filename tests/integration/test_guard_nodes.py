"""The guard over several nodes and workers: what one of them sees is found, told by all, acted upon once.

Three hundred callers are spread over three, and a verdict takes more than any of them has.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from flags.decide.rollout import in_cohort
from tests.support.admin import ORDERS, Operator, operator
from tests.support.api import EVENTS, Client, event, eventually
from tests.support.cluster import flags_in, toml
from tests.support.gateway import GatewayThread, ServedGateway, make_settings
from tests.support.rollout import VERSION, Caller, all_of
from tests.support.tokens import auth_settings, bearer, mint

COUNT = 3
CALLERS = 300
COMPONENTS = {"orders": {"entities": ["order"]}}
GUARD = {"windowSeconds": 20, "minSamples": 250, "successesToPromote": 1}

Seen = Callable[[Sequence[dict[str, Any]]], bool]


@asynccontextmanager
async def operators(ports: Sequence[int], token: str | None) -> AsyncIterator[list[Operator]]:
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(operator(port)) for port in ports]
        for one in found if token is not None else ():
            name, value = bearer(token)
            one.http.headers[name] = value
        yield found


class Crowd:
    """Callers with a stream each, over the nodes in turn; and operators of every node."""

    def __init__(self, ports: Sequence[int], admins: Sequence[Operator], stack: AsyncExitStack) -> None:
        self.ports = ports
        self.admins = admins
        self._stack = stack
        self.streams: list[tuple[Caller, str]] = []

    def caller(self, number: int, port: int) -> Caller:
        return Caller(port, f"user-{number}", "203.0.113.1", authenticated=True, now=None)

    async def come(self, numbers: Sequence[int] = range(CALLERS)) -> None:
        """These open a stream each, and each says to the next node that its first event came.

        Every node knows the flag by then, and what they do counts.
        """
        await self.is_ready()

        async def one(index: int, number: int) -> None:
            caller = self.caller(number, self.ports[index % len(self.ports)])
            client_id = await caller.open(self._stack, ("clientVersion", VERSION))
            self.streams.append((self.caller(number, self.ports[(index + 1) % len(self.ports)]), client_id))

        await all_of(one(index, number) for index, number in enumerate(numbers))
        await self.all_tell(lambda answers: all(_streams(answer) == len(numbers) for answer in answers))
        await all_of(caller.report(clientId=client_id, firstEventMs=20) for caller, client_id in self.streams)

    async def is_ready(self) -> None:
        """Waits until every node knows the flag, and what callers do counts."""
        await self.all_tell(lambda answers: all(_since(answer) > 2.5 for answer in answers))

    async def fall_back(self, ids: set[str]) -> None:
        told = [one for one in self.streams if one[1] in ids]
        assert len(told) == len(ids)
        await all_of(caller.report(clientId=client_id, fallback="mute") for caller, client_id in told)

    async def ids_at(self, admin: Operator) -> set[str]:
        """The streams of the process that answers."""
        answer = (await admin.get("/api/v1/admin/connections?limit=1000")).json()
        return {one["id"] for one in answer["connections"]}

    async def guards(self, admins: Sequence[Operator] | None = None) -> list[dict[str, Any]]:
        """What each node says of the guard."""
        found = []
        for admin in admins or self.admins:
            response = await admin.get(f"{ORDERS}/guard?nodes=true")
            # A node may not know the flag yet.
            found += [response.json()] if response.status_code == 200 else []
        return found

    async def all_tell(self, seen: Seen, admins: Sequence[Operator] | None = None) -> list[dict[str, Any]]:
        """Waits until what the nodes say is wanted; gives it."""
        answers: list[dict[str, Any]] = []

        async def holds() -> bool:
            answers[:] = await self.guards(admins)
            return len(answers) == len(admins or self.admins) and seen(answers)

        try:
            await eventually(holds, "every node says so")
        except AssertionError:
            sentences = [(answer["sentence"], _figure(answer), answer["nodes"]) for answer in answers]
            raise AssertionError(f"the nodes say {sentences}") from None
        return answers

    async def is_taken_back_once(self, admins: Sequence[Operator] | None = None) -> dict[str, Any]:
        """Waits until each node says that the guard took the component back, by one change; the latch."""

        def latched(answers: Sequence[dict[str, Any]]) -> bool:
            return all(answer["state"]["latch"] is not None for answer in answers)

        answers = await self.all_tell(latched, admins)
        latch: dict[str, Any] = answers[0]["state"]["latch"]
        assert all(answer["state"]["latch"] == latch for answer in answers)
        for admin in admins or self.admins:
            revisions = (await admin.get(f"{ORDERS}/revisions")).json()["revisions"]
            assert [one["who"] for one in revisions].count("guard") == 1
        return latch


def _streams(answer: dict[str, Any]) -> int:
    return sum(each["streams"] for each in answer["byNode"].values())


def _since(answer: dict[str, Any]) -> float:
    found: float = answer["state"]["sinceChangeSeconds"]
    return found


def _figure(answer: dict[str, Any]) -> tuple[float | None, int]:
    metric = answer["metrics"]["fallbackRate"]
    return metric["value"], metric["samples"]


def everybody_says(value: float, samples: int) -> Seen:
    def seen(answers: Sequence[dict[str, Any]]) -> bool:
        return all(_figure(answer) == (pytest.approx(value), samples) for answer in answers)

    return seen


@asynccontextmanager
async def a_crowd(ports: Sequence[int]) -> AsyncIterator[Crowd]:
    async with operators(ports, mint("operator", admin=True)) as admins, AsyncExitStack() as stack:
        yield Crowd(ports, admins, stack)


def start_nodes(start_gateway: Callable[..., GatewayThread], url: str) -> list[GatewayThread]:
    settings = make_settings(
        log={"url": url}, flags={"store": flags_in(url)}, components=COMPONENTS, auth=auth_settings()
    )
    return [start_gateway(settings) for _ in range(COUNT)]


async def test_harm_on_one_node_is_told_by_every_node_and_acted_upon_once(
    start_gateway: Callable[..., GatewayThread], log_url: str
) -> None:
    nodes = start_nodes(start_gateway, log_url)
    async with a_crowd([node.port for node in nodes]) as crowd:
        await crowd.admins[0].make(stage="live", percentage=100, guard=GUARD | {"dryRun": True})
        await crowd.come()
        await crowd.all_tell(everybody_says(0, CALLERS))
        await crowd.fall_back(await crowd.ids_at(crowd.admins[2]))
        answers = await crowd.all_tell(
            lambda answers: (
                everybody_says(1 / COUNT, CALLERS)(answers)
                and all(answer["verdict"] == "fail" for answer in answers)
            )
        )
        for answer in answers:
            assert (answer["metric"], answer["threshold"]) == ("fallbackRate", 0.05)
            assert sorted(each["streams"] for each in answer["byNode"].values()) == [100, 100, 100]
            assert answer["action"]["do"] == "rollback"
        assert (await crowd.admins[1].patch(guard={"dryRun": False})).status_code == 200
        latch = await crowd.is_taken_back_once()
    assert (latch["metric"], latch["value"]) == ("fallbackRate", pytest.approx(1 / COUNT))


async def test_harm_on_one_node_beside_those_who_poll_on_all_is_found_and_acted_upon_once(
    start_gateway: Callable[..., GatewayThread], log_url: str
) -> None:
    nodes = start_nodes(start_gateway, log_url)
    async with a_crowd([node.port for node in nodes]) as crowd:
        # No limit is passed: what is found is found beside the control.
        limits = {"fallbackRate": {"promote": 0.01, "fail": 0.9}, "margins": {"fallbackRate": 0.1}}
        guard = GUARD | {"minSamples": 100, "dryRun": False} | limits
        await crowd.admins[0].make(stage="live", percentage=50, guard=guard)
        drawn = [number for number in range(CALLERS) if in_cohort("orders", f"user-{number}", 50)]
        others = [number for number in range(CALLERS) if number not in drawn]
        await crowd.come(drawn)
        await all_of(
            crowd.caller(number, crowd.ports[index % COUNT]).poll() for index, number in enumerate(others)
        )
        ids = await crowd.ids_at(crowd.admins[2])
        await crowd.fall_back(ids)
        latch = await crowd.is_taken_back_once()
    assert latch["metric"] == "fallbackRate"
    assert f"of {len(drawn)} callers who stream" in latch["reason"]
    assert f"0 % of {len(others)} callers who poll" in latch["reason"]
    assert latch["value"] == pytest.approx(len(ids) / len(drawn))


async def leader(ports: Sequence[int]) -> int:
    """Waits until one node judges for all; which."""
    found: list[float] = []

    async def holds() -> bool:
        clients = [Client(port, mint("operator", admin=True)) for port in ports]
        found[:] = [await client.metric("tidegate_guard_leading") for client in clients]
        return sum(found) == 1

    await eventually(holds, "one node judges")
    return found.index(1)


async def test_the_node_that_judges_is_killed_and_another_finds_what_it_saw(
    serve: Callable[[str], ServedGateway], log_url: str
) -> None:
    config = toml(
        log={"url": log_url},
        flags={"store": flags_in(log_url)},
        auth=auth_settings(),
        **{"components.orders": COMPONENTS["orders"]},
    )
    nodes = await asyncio.gather(*(asyncio.to_thread(serve, config) for _ in range(COUNT)))
    ports = [node.port for node in nodes]
    async with a_crowd(ports) as crowd:
        # The lease of one that is killed runs out, and the window has to last that long.
        long = GUARD | {"windowSeconds": 25, "dryRun": False}
        await crowd.admins[0].make(stage="live", percentage=100, guard=long)
        await crowd.come()
        await crowd.all_tell(everybody_says(0, CALLERS))
        first = await leader(ports)
        await crowd.fall_back(await crowd.ids_at(crowd.admins[first]))
        await crowd.all_tell(everybody_says(1 / COUNT, CALLERS))
        nodes[first].kill()
        others = [admin for at, admin in enumerate(crowd.admins) if at != first]
        latch = await crowd.is_taken_back_once(others)
    assert latch["metric"] == "fallbackRate"
    assert f"over {CALLERS} samples" in latch["reason"]


async def test_who_judges_next_goes_on_with_evidence_and_successes(
    start_gateway: Callable[..., GatewayThread], log_url: str
) -> None:
    nodes = start_nodes(start_gateway, log_url)
    ports = [node.port for node in nodes]
    async with a_crowd(ports) as crowd:
        margins = dict.fromkeys(("errorRate", "pushLagP99Ms", "firstEventSuccess", "fallbackRate"), 0.9)
        guard = {"windowSeconds": 2, "minSamples": 5, "successesToPromote": 1000, "margins": margins}
        await crowd.admins[0].make(stage="live", percentage=50, guard=guard)
        await crowd.is_ready()
        first = await leader(ports)
        rest = [port for at, port in enumerate(ports) if at != first]
        people = [crowd.caller(number, rest[number % 2]) for number in range(40)]
        modes = [(await one.get("/api/v1/sync/fetch-mode")).json["mode"] for one in people]
        async with AsyncExitStack() as stack:
            for caller, mode in zip(people, modes, strict=True):
                if mode == "streaming":
                    client_id = await caller.open(stack, ("clientVersion", VERSION))
                    await caller.report(clientId=client_id, firstEventMs=20)
            polling = [one for one, mode in zip(people, modes, strict=True) if mode == "polling"]

            numbers = count()

            async def comes_so_far(admin: Operator, windows: int, successes: int) -> dict[str, Any]:
                """Callers poll, and see what is new, until the node tells of so much."""
                found: dict[str, Any] = {}

                async def holds() -> bool:
                    await all_of(caller.poll() for caller in polling)
                    assert (await polling[0].send(EVENTS, event(next(numbers)))).status == 201
                    (answer,) = await crowd.guards([admin])
                    found.update(answer)
                    state = answer["state"]
                    return answer["cohorts"]["windows"] >= windows and state["successes"] >= successes

                await eventually(holds, f"{windows} windows and {successes} successes")
                return found

            before = await comes_so_far(crowd.admins[first], 2, 1)
            await asyncio.to_thread(nodes[first].stop)
            second = rest[await leader(rest)]
            (next_one,) = [admin for admin, port in zip(crowd.admins, ports, strict=True) if port == second]
            (answer,) = await crowd.guards([next_one])
            assert answer["cohorts"]["windows"] >= before["cohorts"]["windows"]
            assert answer["state"]["successes"] >= before["state"]["successes"]
            assert answer["state"]["sinceChangeSeconds"] > before["state"]["sinceChangeSeconds"]
            more = answer["state"]["successes"] + 1
            await comes_so_far(next_one, answer["cohorts"]["windows"] + 1, more)


async def test_harm_in_one_worker_of_three_is_found_with_flags_in_a_file(
    serve: Callable[[str], ServedGateway], log_url: str, tmp_path: Path
) -> None:
    config = toml(
        server={"workers": COUNT},
        log={"url": log_url},
        flags={"store": f"file:{tmp_path / 'flags.json'}"},
        auth=auth_settings(),
        **{"components.orders": COMPONENTS["orders"]},
    )
    gateway = await asyncio.to_thread(serve, config)
    async with a_crowd([gateway.port]) as crowd:
        # Each connection may get another worker.
        await crowd.admins[0].make(stage="live", percentage=100, guard=GUARD | {"dryRun": False})
        await crowd.come()
        answers = await crowd.all_tell(everybody_says(0, CALLERS))
        assert len(answers[0]["byNode"]) == COUNT
        ids = await crowd.ids_at(crowd.admins[0])
        assert 250 > len(ids) > 15, "that many of 300 connections reached one worker of 3"
        await crowd.fall_back(ids)
        latch = await crowd.is_taken_back_once()
        assert latch["value"] == pytest.approx(len(ids) / CALLERS)
        # Whichever worker is asked.
        async with a_crowd([gateway.port] * 8) as others:
            assert await others.is_taken_back_once() == latch


@pytest.mark.parametrize("log_url", ["redis"], indirect=True)
async def test_an_address_counts_for_fifty_callers_over_all_nodes(
    start_gateway: Callable[..., GatewayThread], log_url: str
) -> None:
    settings = make_settings(log={"url": log_url}, flags={"store": "redis"}, components=COMPONENTS)
    nodes = [start_gateway(settings) for _ in range(COUNT)]
    ports = [node.port for node in nodes]
    async with operators(ports, None) as admins, AsyncExitStack() as stack:
        guard = {"windowSeconds": 20, "minSamples": 100, "dryRun": False}
        await admins[0].make(stage="live", percentage=100, guard=guard)
        crowd = Crowd(ports, admins, stack)

        await crowd.is_ready()
        for index in range(60 * COUNT):
            caller = Caller(ports[index % COUNT], f"made-up-{index}", "203.0.113.1", authenticated=False)
            crowd.streams.append((caller, await caller.open(stack, ("clientVersion", VERSION))))
        await crowd.all_tell(lambda answers: all(_streams(answer) == 60 * COUNT for answer in answers))
        await crowd.fall_back({client_id for _, client_id in crowd.streams})
        answers = await crowd.all_tell(everybody_says(1, 50))
        assert all(answer["verdict"] == "inconclusive" for answer in answers)
        assert (await admins[0].get(ORDERS)).json()["latch"] is None
