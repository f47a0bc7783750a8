"""A real browser that shows pages: Debian's Chromium, without a window."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.support.debian import install, missing
from tests.support.http import DEADLINE_SECONDS

OPTIONS = (
    *("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Of many pages that are open at once none is to be slowed down for being in the background.
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
)
"""What it is always started with: no window, no network of its own, nothing that slows pages down."""


def program() -> str:
    """Where Debian's chromium is; it is installed where that may be."""
    found = shutil.which("chromium")
    if found is None and install("chromium"):
        found = shutil.which("chromium")
    if found is None:
        missing("chromium is not installed: apt-get install chromium")
    return found


@contextmanager
def showing(url: str, directory: Path, *options: str) -> Iterator[None]:
    """Has a browser with a fresh profile in `directory` show the page at `url`, until the context ends."""
    # Its sandbox does not work for root, as whom containers mostly run.
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with (directory / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            (program(), *OPTIONS, *as_root, *options, f"--user-data-dir={directory / 'profile'}", url),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"HOME": str(directory)},
        )
    try:
        yield
    finally:
        # All of its processes.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_SECONDS)


class Browser:
    """A running browser, by the Chrome DevTools Protocol. It answers one question after the other."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def profile(self) -> str:
        """A new profile: its pages share storage and locks with one another, and with no others."""
        made: str = (await self.call("Target.createBrowserContext"))["browserContextId"]
        return made

    async def open(self, url: str, profile: str | None = None) -> "Page":
        """A page at `url`, in front of all others of its profile, a new one where none is given.

        It need not be there yet.
        """
        profile = profile or await self.profile()
        target = await self.call("Target.createTarget", url=url, browserContextId=profile)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Page(self, attached["sessionId"])

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """What the browser answers to a method of the protocol, for the page of `session` where one is given.

        Raises Refused.
        """
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        await self._socket.send_str(orjson.dumps(message).decode())
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                told = orjson.loads(await self._socket.receive_str())
                if told.get("id") == number:
                    if "error" in told:
                        raise Refused(told["error"])
                    return told["result"]


class Refused(Exception):
    """The browser could not do what it was asked."""


class Page:
    """A page that is open in a Browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def reload(self) -> None:
        """Loads it anew, as its user does."""
        await self._browser.call("Page.reload", self._session)

    async def freeze(self) -> None:
        """As the browser freezes a page in the background. One that can be seen stays as it is."""
        await self._browser.call("Page.setWebLifecycleState", self._session, state="frozen")

    async def thaw(self) -> None:
        await self._browser.call("Page.setWebLifecycleState", self._session, state="active")

    async def value(self, expression: str) -> Any:
        """The value of JavaScript in the page, of a promise what that gives.

        None where the page is not there yet, or is just being loaded anew.
        """
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        try:
            answer = await self._browser.call("Runtime.evaluate", self._session, **asked)
        except Refused:
            return None
        return answer["result"].get("value") if "exceptionDetails" not in answer else None


@asynccontextmanager
async def browsing(directory: Path) -> AsyncIterator[Browser]:
    """A browser for pages in profiles of their own, which end with it."""
    told = directory / "profile" / "DevToolsActivePort"
    with showing("about:blank", directory, "--remote-debugging-port=0"):
        async with asyncio.timeout(DEADLINE_SECONDS):
            # Both lines are written at once, and the file before that is empty.
            while not (told.exists() and len(told.read_text().split()) == 2):  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
        port, path = told.read_text().split()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            yield Browser(socket)
