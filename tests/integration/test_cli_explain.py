"""`tidegate explain` reads an event from a log in a server, as one more gateway would."""

from pathlib import Path

from gateway.core.events import Cursor, Position
from gateway.ports.clock import SystemClock
from gateway.service.settings import Settings
from gateway.service.wiring.logs import open_log
from tests.support.command import command
from tests.support.events import an_event
from tests.support.tokens import SECRET, mint

CONFIG = f"""
[auth]
mode = "jwt"
secret = "{SECRET}"

[[auth.grants]]
subscribe = ["invoice:customer_id=eq.{{sub}}"]
"""


async def test_an_event_of_a_log_in_a_server_is_read_by_its_cursor(log_url: str, tmp_path: Path) -> None:
    log = open_log(Settings.model_validate({"log": {"url": log_url}}), SystemClock())
    await log.start()
    invoices = [an_event(f"invoice:{owner}", data={"customer_id": owner}) for owner in ("c-1", "c-2", "c-3")]
    appended = await log.append(invoices)
    await log.close()
    config = tmp_path / "tidegate.toml"
    config.write_text(CONFIG)

    async def explained(cursor: Cursor) -> tuple[int, str, str]:
        arguments = ("explain", "--config", str(config), "--event", str(cursor))
        environ = {"TIDEGATE_TOKEN": mint("c-2"), "TIDEGATE_LOG__URL": log_url}
        async with command(*arguments, **environ) as running:
            return await running.end()

    verdicts = []
    for position in appended.positions:
        code, out, _ = await explained(Cursor(appended.epoch, position))
        assert code == 0
        verdicts.append(out.splitlines()[-2])
    missed = "It does not reach this caller: no grant covers it."
    assert verdicts == [missed, "It reaches this caller, all of it.", missed]
    last = appended.positions[-1]
    for position in (Position(last.major + 5, 0), Position(last.major, last.minor + 5), Position(0, 1)):
        code, out, err = await explained(Cursor(appended.epoch, position))
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == "tidegate: The log holds no event of that cursor."
