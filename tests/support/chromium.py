"""A real browser that shows a page: Debian's Chromium, without a window."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.debian import install, missing
from tests.support.http import DEADLINE_SECONDS

_OPTIONS = (
    *("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def showing(url: str, directory: Path) -> Iterator[None]:
    """Has a browser with a fresh profile in `directory` show the page at `url`, until the context ends."""
    if shutil.which("chromium") is None and not install("chromium"):
        missing("chromium is not installed: apt-get install chromium")
    # Its sandbox does not work for root, as whom containers mostly run.
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with (directory / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            ("chromium", *_OPTIONS, *as_root, f"--user-data-dir={directory / 'profile'}", url),
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
