"""Servers that tests need and a machine may lack: installed where that is allowed, named where it is not."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

_INSTALL_SECONDS = 600
_LOCK = Path(tempfile.gettempdir()) / "tidegate-tests-install.lock"
PACKAGES = (
    *("apache2", "caddy", "chromium", "firefox-esr", "haproxy", "nginx", "postgresql", "prometheus"),
    *("prometheus-alertmanager", "redis-server"),
)
"""All that tests install where they may."""


def install_all() -> None:
    """Installs what of PACKAGES is not there, before several processes look for programs at the same time.

    One that finds a program which another is installing just then would start half of it.
    """
    if shutil.which("dpkg-query") is not None:
        for package in PACKAGES:
            asked = ("dpkg-query", "--show", "--showformat=${db:Status-Status}", package)
            status = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
            if status != "installed":
                install(package)


@functools.cache
def install(package: str) -> bool:
    """Installs a Debian package, saying so; False where this machine or user can't, or it failed."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    sys.stderr.write(f"Installing Debian's {package}, which the tests need ...\n")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return all(
            subprocess.run(
                ("apt-get", *arguments),
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
                timeout=_INSTALL_SECONDS,
                check=False,
            ).returncode
            == 0
            for arguments in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", package))
        )


def missing(reason: str) -> NoReturn:
    """Ends a test that lacks a server: skipped with the reason, but a failure where CI is "true"."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
