"""`tidegate demo`: the gateway of the demo out of its settings, and what one that runs already publishes."""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web

from gateway.cli import UNREACHABLE, WRONG_INPUT, CommandError
from gateway.demo.launcher import CONFIG, run_demo
from gateway.demo.page import FAULT_PATH
from gateway.demo.publisher import Fault
from gateway.service.config import load_settings
from gateway.service.serve import serve
from gateway.service.settings import FlagsSettings

_SECONDS = 10.0
_SAID = {
    Fault.STALE_PUSH: "now publishes each changed order's old state; mend it with --fault none",
    Fault.NONE: "publishes what is true again, and has corrected what it said before",
}


def parse_fault(text: str) -> Fault:
    """The fault of that name. Raises CommandError where there is none."""
    for fault in Fault:
        if text == fault:
            return fault
    raise CommandError(WRONG_INPUT, f"--fault must be {' or '.join(reversed(list(Fault)))}, and is {text!r}.")


async def change_fault(port: int, fault: Fault) -> str | None:
    """Sets the fault of the demo on 127.0.0.1:`port`.

    Gives a line that says so, or None where no demo runs there. Raises CommandError where it can't do it now.
    """
    address = f"http://127.0.0.1:{port}"
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    headers = {"Content-Type": "application/json"}
    body = orjson.dumps({"fault": fault})
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.put(f"{address}{FAULT_PATH}", data=body, headers=headers) as response,
        ):
            await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return None
    if response.status >= 500:
        raise CommandError(UNREACHABLE, f"the demo at {address}/ can't change its fault now: try again.")
    if response.status != 200:
        return None
    return f"The demo at {address}/ {_SAID[fault]}."


async def serve_demo(port: int, simulate_every_seconds: float, fault: Fault) -> int:
    """See gateway.demo.launcher.run_demo. Raises ConfigError where a TIDEGATE_ variable is wrong."""
    settings = load_settings(CONFIG, {"server": {"host": "127.0.0.1", "port": port}})

    async def gateway(
        backend: str,
        flags: Path,
        *,
        announce: Callable[[str], None],
        extend: Callable[[web.Application], None],
    ) -> None:
        routes = tuple(
            route.model_copy(update={"upstream": f"{backend}/orders"}) for route in settings.legacy
        )
        given = {"legacy": routes, "flags": FlagsSettings(store=f"file:{flags}")}
        await serve(settings.model_copy(update=given), announce=announce, extend=extend)

    return await run_demo(gateway, port, simulate_every_seconds, fault)
