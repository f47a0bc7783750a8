"""An operator's own functions: what they make of an answer, and what becomes of those that misbehave."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.upstream.failures import BadAnswer
from adapters.upstream.functions import worker
from adapters.upstream.functions.runner import FunctionRunner, FunctionRunners, check_functions
from gateway.ports.legacy_route import Functions
from tests.support.legacy import legacy_route
from tests.support.loop import in_time

PATIENT_SECONDS = 60.0
"""Longer than any function here needs, on whatever machine."""
SHOP = """
import csv, io, os, sys, time

def rows(body, content_type):
    return list(csv.DictReader(io.StringIO(body.decode())))

def tell(body, content_type):
    return [{"body": body.decode(), "type": content_type, "pid": os.getpid()}]

def cents(item):
    return item | {"cents": round(float(item["price"]) * 100)}

def raising(body, content_type):
    raise ValueError(body)

def exiting(body, content_type):
    os._exit(3)

def leaving(body, content_type):
    sys.exit("hush")

def hanging(body, content_type):
    time.sleep(3600)

def hanging_for_some(item):
    while item["price"] == "slow":
        pass
    return item

def forking(body, content_type):
    if os.fork():
        os._exit(0)
    time.sleep(3600)

def forking_and_returning(body, content_type):
    who = "parent" if os.fork() else "child"
    return [{"body": body.decode(), "who": who}]

def leaving_a_daemon(body, content_type):
    if os.fork() == 0:
        os.setsid()
        with open("daemon_functions", "w") as file:
            file.write(str(os.getpid()))
        os.rename("daemon_functions", "daemon_functions.pid")
        time.sleep(3600)
    while not os.path.exists("daemon_functions.pid"):
        time.sleep(0.001)
    os._exit(3)

def writing_anywhere(body, content_type):
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, body)
        except OSError:
            pass
    return []

def loud(body, content_type):
    print("hush")
    print("hush", file=sys.stderr)
    os.write(1, b"hush")
    assert sys.stdin.read() == ""
    return [{"a": 1}]

def huge(body, content_type):
    return ["x" * 2**30]

def long(body, content_type):
    return ["x" * 2**20] * 65

def odd(body, content_type):
    return {1, 2}

def odd_items(body, content_type):
    return [{"a": 1}, {"b": object()}, {"c": float("nan")}]

def nothing(body, content_type):
    return None

def given(body, content_type):
    return {"docs": {"a": {"price": "1"}, "b": {"price": "free"}}, "one": {"price": "2"}}

VALUE = 7
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A directory with a module of functions."""
    (tmp_path / "shop_functions.py").write_text(SHOP)
    (tmp_path / "broken_functions.py").write_text("raise RuntimeError('hush')")
    return str(tmp_path)


Running = Callable[..., FunctionRunner]


@pytest.fixture
async def running(shop: str) -> AsyncIterator[Running]:
    """Makes runners, which are closed with the test."""
    async with contextlib.AsyncExitStack() as stack:

        def run(
            decode: str | None = None, map: str | None = None, seconds: float = PATIENT_SECONDS
        ) -> FunctionRunner:
            names = (None if name is None else f"shop_functions:{name}" for name in (decode, map))
            runner = FunctionRunner(Functions(*names), shop, seconds)
            stack.push_async_callback(runner.close)
            return runner

        yield run


async def text_of(runner: FunctionRunner, *bodies: bytes, **settings: Any) -> bytes:
    route = legacy_route(**({"items": ""} | settings))
    return await runner.text_of(route, bodies or (b"[]",), "text/csv")


async def made(runner: FunctionRunner, *bodies: bytes, **settings: Any) -> Any:
    return json.loads(await text_of(runner, *bodies, **settings))


async def failure(runner: FunctionRunner, *bodies: bytes, **settings: Any) -> tuple[str, str]:
    with pytest.raises(BadAnswer) as raised:
        await text_of(runner, *bodies, **settings)
    return raised.value.kind, raised.value.detail


async def test_an_answer_is_decoded(running: Running) -> None:
    assert await made(running("rows"), b"id,price\r\n1,2.50\r\n") == [{"id": "1", "price": "2.50"}]


async def test_the_function_is_given_the_bytes_and_the_content_type(running: Running) -> None:
    ((one,)) = await made(running("tell"), "ä".encode())

    assert (one["body"], one["type"]) == ("ä", "text/csv")
    assert one["pid"] != os.getpid()


async def test_each_item_is_mapped(running: Running) -> None:
    runner = running(map="cents")

    assert await made(runner, b'{"docs":[{"price":"2.5"},{"price":1}]}', items="/docs") == [
        {"price": "2.5", "cents": 250},
        {"price": 1, "cents": 100},
    ]


async def test_what_is_decoded_is_mapped(running: Running) -> None:
    assert await made(running("rows", "cents"), b"price\n3") == [{"price": "3", "cents": 300}]


async def test_the_items_of_a_map_keep_their_names(running: Running) -> None:
    runner = running("given", "cents")

    assert await made(runner, items="/docs", shape="map") == {"a": {"price": "1", "cents": 100}, "b": None}


async def test_one_entity_is_mapped_too(running: Running) -> None:
    assert await made(running("given", "cents"), items="/one", shape="single") == {"price": "2", "cents": 200}


async def test_each_of_several_bodies_is_a_text_of_a_sequence(running: Running) -> None:
    assert await text_of(running("rows"), b"a\n1", b"a\n2") == b'\x1e[{"a":"1"}]\n\x1e[{"a":"2"}]\n'


@pytest.mark.parametrize(("shape", "text"), [("list", b"[]"), ("map", b"{}"), ("single", b"null")])
async def test_null_and_nothing_at_all_may_mean_that_there_are_no_items(
    running: Running, shape: str, text: bytes
) -> None:
    runner = running("nothing")

    assert await text_of(runner, shape=shape) == text
    assert await text_of(runner, shape=shape, items="/docs", empty=["absent"]) == text
    assert (await failure(runner, shape=shape, items="/docs"))[0] == "no_list"
    assert (await failure(runner, shape=shape, empty=[]))[0] == "no_list"


async def test_what_is_of_another_shape_is_a_bad_answer(running: Running) -> None:
    runner = running("given")

    assert (await failure(runner, items="/docs"))[0] == "no_list"
    assert (await failure(runner, items="/docs/a/price", shape="map"))[0] == "no_list"


async def test_without_a_function_of_decode_the_answer_has_to_be_json(running: Running) -> None:
    assert (await failure(running(map="cents"), b"price\n3"))[0] == "not_json"
    assert await made(running(map="cents"), b'\xef\xbb\xbf[{"price":1}]') == [{"price": 1, "cents": 100}]


async def test_an_item_that_the_function_raises_for_is_left_out_and_named_once(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    runner = running(map="cents")
    body = b'[{"price":1},{"price":"hush"},{}]'

    with caplog.at_level(logging.WARNING):
        assert await made(runner, body) == [{"price": 1, "cents": 100}, None, None]
        await made(runner, body)

    (record,) = (one for one in caplog.records if one.getMessage() == "upstream_items_not_mapped")
    fields = record.__dict__["fields"]
    assert fields["items"] == 2
    assert fields["detail"] == "The function of map raised ValueError at shop_functions.py, line 11."
    assert "hush" not in str(fields)


async def test_an_item_that_is_no_json_is_left_out(running: Running) -> None:
    assert await made(running("odd_items")) == [{"a": 1}, None, {"c": None}]


@pytest.mark.parametrize(
    ("decode", "detail"),
    [
        ("raising", "The function of decode raised ValueError at shop_functions.py, line 14."),
        ("leaving", "The function of decode raised SystemExit at shop_functions.py, line 20."),
        ("exiting", "The function of decode ended its process."),
        ("huge", "The function of decode raised MemoryError at shop_functions.py, line"),
        ("long", "What the functions made of the upstream's answer is over 67108864 bytes."),
        ("odd", "The upstream's answer has no list where its items should be."),
        ("cents", "The function of decode raised TypeError."),
    ],
)
async def test_a_function_that_fails_makes_a_bad_answer_and_shows_nothing(
    running: Running, decode: str, detail: str
) -> None:
    runner = running(decode)

    kind, told = await failure(runner, b"hush")

    assert kind == ("no_list" if decode == "odd" else "decode")
    assert told.startswith(detail)
    assert await failure(runner, b"hush") == (kind, told)


async def test_what_a_function_prints_goes_nowhere(
    running: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await made(running("loud")) == [{"a": 1}]
    assert "hush" not in "".join(capfd.readouterr())


async def test_a_function_that_hangs_is_ended_with_its_process(running: Running) -> None:
    runner = running("hanging", seconds=0.5)

    kind, detail = await failure(runner)

    assert (kind, detail) == ("decode", "The function of decode took over 0.5 s.")


async def test_a_process_that_a_function_forked_keeps_nobody_waiting(running: Running) -> None:
    assert await failure(running("forking")) == ("decode", "The function of decode ended its process.")


async def test_one_that_left_for_a_session_of_its_own_keeps_nobody_waiting(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        async with asyncio.timeout(PATIENT_SECONDS):
            assert (await failure(running("leaving_a_daemon")))[
                1
            ] == "The function of decode ended its process."
    finally:
        os.kill(int((tmp_path / "daemon_functions.pid").read_text()), signal.SIGKILL)


async def test_what_a_forked_process_makes_of_an_answer_is_nobodys(running: Running) -> None:
    runner = running("forking_and_returning")

    answers = [await made(runner, str(number).encode()) for number in range(5)]

    assert answers == [[{"body": str(number), "who": "parent"}] for number in range(5)]


@pytest.mark.parametrize("junk", [b"\xff" * 16, b"\0" * 7 + b"\4hush"])
async def test_what_is_written_where_the_process_answers_makes_a_bad_answer(
    running: Running, junk: bytes
) -> None:
    runner = running("writing_anywhere")

    for _ in range(2):
        assert await failure(runner, junk) == ("decode", "The function of decode ended its process.")


async def test_it_is_said_which_of_the_functions_hung(running: Running) -> None:
    runner = running("rows", "hanging_for_some", seconds=0.5)

    assert await failure(runner, b"price\nslow") == ("map", "The function of map took over 0.5 s.")


async def test_after_a_function_that_hung_the_next_answer_has_a_process_again(running: Running) -> None:
    runner = running(map="hanging_for_some", seconds=2.0)
    await failure(runner, b'[{"price":"slow"}]')

    assert await made(runner, b'[{"price":1}]') == [{"price": 1}]


async def test_one_process_serves_one_answer_after_the_other(running: Running) -> None:
    runner = running("tell")

    answers = await asyncio.gather(*(made(runner, str(number).encode()) for number in range(5)))

    assert [one["body"] for (one,) in answers] == ["0", "1", "2", "3", "4"]
    assert len({one["pid"] for (one,) in answers}) == 1


async def test_a_process_that_was_killed_costs_one_answer(running: Running) -> None:
    runner = running("tell")
    ((before,)) = await made(runner)
    os.kill(before["pid"], signal.SIGKILL)

    assert await failure(runner) == ("decode", "The function of decode ended its process.")
    ((after,)) = await made(runner)
    assert after["pid"] != before["pid"]


async def test_who_is_cancelled_leaves_no_answer_for_the_next(running: Running) -> None:
    runner = running(map="hanging_for_some")
    await made(runner)
    waiting = asyncio.ensure_future(made(runner, b'[{"price":"slow"}]'))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await made(runner, b'[{"price":1}]') == [{"price": 1}]


async def test_a_closed_runner_leaves_no_process(running: Running) -> None:
    runner = running("tell")
    ((one,)) = await made(runner)

    await runner.close()
    await runner.close()

    assert not psutil.pid_exists(one["pid"])


@pytest.mark.parametrize("is_started", [True, False])
async def test_closing_waits_for_no_function(running: Running, is_started: bool) -> None:
    runner = running(map="hanging_for_some")
    if is_started:
        await made(runner)
    waiting = asyncio.ensure_future(text_of(runner, b'[{"price":"slow"}]'))
    await asyncio.sleep(0)

    await runner.close()

    with pytest.raises(BadAnswer):
        await waiting


async def test_a_process_without_a_gateway_ends(shop: str) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from adapters.upstream.functions.runner import FunctionRunner\n"
        "from gateway.ports.legacy_route import Functions\n"
        "from tests.support.legacy import legacy_route\n"
        "async def main():\n"
        f"    runner = FunctionRunner(Functions('shop_functions:tell'), {shop!r}, 60.0)\n"
        "    print((await runner.text_of(legacy_route(items=''), [b''], '')).decode(), flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ((one,)) = json.loads(await process.stdout.readline())
    assert psutil.pid_exists(one["pid"])

    process.kill()
    await process.wait()

    await in_time(lambda: is_gone(one["pid"]), "the process has ended")


async def test_a_function_that_hangs_without_a_gateway_ends_too(shop: str) -> None:
    start = {"path": shop, "decode": "shop_functions:hanging", "map": None}
    order = {"bodies": 1, "content_type": "", "items": "", "shape": "list", "empty": [], "seconds": 0.1}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", worker.__file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    for frame in (json.dumps(start).encode(), json.dumps(order).encode(), b""):
        process.stdin.write(worker.LENGTH.pack(len(frame)) + frame)

    async with asyncio.timeout(PATIENT_SECONDS):
        assert await process.wait() == -signal.SIGALRM


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or nothing but what is left for its parent to read."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


async def test_routes_with_the_same_functions_share_a_process(shop: str) -> None:
    runners = FunctionRunners(shop)
    tell = Functions("shop_functions:tell")
    first, second, other = (
        runners.of(legacy_route(items="", functions=functions)) for functions in (tell, tell, Functions())
    )
    try:
        assert first is not None
        assert second is not None
        assert other is None
        ((one,)), ((two,)) = json.loads(await first([b"1"], "")), json.loads(await second([b"2"], ""))
    finally:
        await runners.close()

    assert (one["body"], two["body"]) == ("1", "2")
    assert one["pid"] == two["pid"]
    assert is_gone(one["pid"])


def test_functions_that_can_be_imported_are_right(shop: str) -> None:
    check_functions(Functions("shop_functions:rows", "shop_functions:cents"), shop)
    check_functions(Functions(), shop)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing_functions:rows", "No module named 'missing_functions'"),
        ("shop_functions:missing", "module 'shop_functions' has no attribute 'missing'"),
        ("shop_functions:VALUE", "is no function"),
        ("broken_functions:rows", "RuntimeError at broken_functions.py, line 1"),
    ],
)
def test_a_function_that_can_not_be_imported_is_named(shop: str, name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"map: {name} ") as raised:
        check_functions(Functions(map=name), shop)

    assert reason in str(raised.value)
    assert "hush" not in str(raised.value)


async def test_a_function_that_can_no_longer_be_imported_makes_a_bad_answer(
    running: Running, shop: str
) -> None:
    runner = running("missing")

    kind, detail = await failure(runner)

    assert kind == "decode"
    assert detail.startswith("The functions could not be started: decode: shop_functions:missing can't be")
