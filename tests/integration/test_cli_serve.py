"""`tidegate serve` as a process: its one line, its end, and what it says when it can't."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from tests.support.api import Client
from tests.support.command import command, run
from tests.support.gateway import ADDRESS_LINE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_prints_its_address_serves_and_ends_with_0(number: signal.Signals) -> None:
    async with command("serve", "--port", "0") as gateway:
        line = await gateway.line()
        assert line.startswith(ADDRESS_LINE)
        client = Client(int(line.removeprefix(ADDRESS_LINE)))
        assert (await client.get("/healthz")).status == 200
        gateway.signal(number)
        code, out, _ = await gateway.end()
    assert (code, out) == (0, "")


async def test_an_open_stream_is_sent_away_before_the_end() -> None:
    async with command("serve", "--port", "0") as gateway:
        client = Client(int((await gateway.line()).removeprefix(ADDRESS_LINE)))
        async with client.stream() as stream:
            await stream.connected()
            gateway.signal(signal.SIGTERM)
            assert (await stream.until("bye")).data["reason"] == "drain"
            assert await stream.rest() == []
        code, _, _ = await gateway.end()
    assert code == 0


async def test_an_address_in_use_is_one_sentence_and_exit_code_2() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = await run("serve", "--port", str(port))
    assert (code, out) == (2, "")
    assert err == (
        f"tidegate: http://127.0.0.1:{port} (server.host and server.port) is in use by another program: "
        "choose another with --port (0 takes any free one).\n"
    )


async def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text('[server]\nhost = "10.0.0.1"\nport = 70000\n[stream]\nheartbeat_seconds = 7\n')
    environ = {"TIDEGATE_SERVER__HOST": "127.0.0.1", "TIDEGATE_SERVER__PORT": "70001"}
    async with command("serve", "--config", str(file), "--port", "0", **environ) as gateway:
        line = await gateway.line()
        assert line.startswith(ADDRESS_LINE)
        async with Client(int(line.removeprefix(ADDRESS_LINE))).stream() as stream:
            assert (await stream.connected()).data["heartbeatSeconds"] == 7


async def test_a_wrong_variable_ends_serve_with_2() -> None:
    async with command("serve", TIDEGATE_SERVER__PORT="eighty") as gateway:
        code, out, err = await gateway.end()
    assert (code, out) == (2, "")
    assert err == (
        'tidegate: server.port in the variable TIDEGATE_SERVER__PORT is "eighty", '
        "but must be an integer from 0 to 65535.\n"
    )


async def test_the_log_goes_to_standard_error_at_the_level_asked_for() -> None:
    async with command("serve", "--port", "0", "--log-level", "error") as gateway:
        await gateway.line()
        gateway.signal(signal.SIGTERM)
        assert await gateway.end() == (0, "", "")


async def test_the_demo_shows_orders_and_ends_with_0() -> None:
    async with command("demo", "--port", "0") as demo:
        line = await demo.line()
        port = int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
        page, orders = await asyncio.gather(Client(port).get("/"), Client(port).get("/api/v1/orders"))
        assert page.status == 200
        assert json.loads(orders.body)["docs"]
        demo.signal(signal.SIGTERM)
        code, _, _ = await demo.end()
    assert code == 0


async def test_a_flags_file_that_can_not_be_used_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "flags.json").write_text('{"version": 1, "flags": {')
    file = tmp_path / "tidegate.toml"
    file.write_text("")

    code, out, err = await run("serve", "--config", str(file), "--port", "0")

    assert (code, out) == (2, "")
    assert err.startswith("tidegate: flags.store: The flags file can't be used: ")
    assert (err.count("\n"), str(tmp_path) in err) == (1, False)
