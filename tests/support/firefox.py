"""Debian's Firefox, without a window: it shows a page that does its test by itself, and reports."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from tests.support.debian import install, missing
from tests.support.http import DEADLINE_SECONDS
from tests.support.upstream import listening

_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
}
"""A fresh profile that asks nobody and shows nothing but what it is told to."""

Actions = Mapping[str, Callable[[], Awaitable[Any]]]


@contextmanager
def showing(url: str, directory: Path) -> Iterator[None]:
    """Has Firefox with a fresh profile in `directory` show the page at `url`, until the context ends."""
    program = shutil.which("firefox-esr")
    if program is None and install("firefox-esr"):
        program = shutil.which("firefox-esr")
    if program is None:
        missing("firefox-esr is not installed: apt-get install firefox-esr")
    profile = directory / "firefox"
    profile.mkdir()
    lines = [
        f"user_pref({orjson.dumps(name).decode()}, {orjson.dumps(value).decode()});"
        for name, value in _PREFERENCES.items()
    ]
    (profile / "user.js").write_text("\n".join(lines))
    with (directory / "firefox.log").open("wb") as log:
        process = subprocess.Popen(
            (program, "--headless", "--no-remote", "--profile", str(profile), url),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"HOME": str(directory), "MOZ_DISABLE_AUTO_SAFE_MODE": "1"},
        )
    try:
        yield
    finally:
        # All of its processes.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_SECONDS)


class Reporter:
    """Where a page reports to: what it found at the end, and before that what it wants to be done."""

    def __init__(self, actions: Actions) -> None:
        self.origin = ""
        self._actions = actions
        self._found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def report(self) -> Any:
        """What the page found. Raises AssertionError with the page's error where it failed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            found = await self._found
        assert "failed" not in found, found["failed"]
        return found

    async def take(self, request: web.Request) -> web.Response:
        """A page's report, or its wish: the answer to that says that it came true."""
        told = orjson.loads(await request.read())
        headers = {"Access-Control-Allow-Origin": "*"}
        if "wish" in told:
            await self._actions[told["wish"]]()
        elif not self._found.done():
            self._found.set_result(told)
        return web.Response(status=204, headers=headers)


@asynccontextmanager
async def reported(url: str, directory: Path, actions: Actions, **query: Any) -> AsyncIterator[Reporter]:
    """Firefox shows the page at `url`, which may have `actions` done by name, and report.

    The page gets `query`, and as `reporter` the URL to which it posts `{"wish": name}`, and at last what it
    found.
    """
    reporter = Reporter(actions)
    app = web.Application()
    app.router.add_post("/", reporter.take)
    async with listening(app) as reporter.origin:
        with showing(f"{url}?{urlencode(query | {'reporter': reporter.origin}, doseq=True)}", directory):
            yield reporter
