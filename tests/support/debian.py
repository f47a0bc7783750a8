"""Servers that tests need and a machine may lack: installed where that is allowed, named where it is not."""

import functools
import os
import shutil
import subprocess
import sys
from typing import NoReturn

import pytest

_INSTALL_SECONDS = 600


@functools.cache
def install(package: str) -> bool:
    """Installs a Debian package, saying so; False where this machine or user can't, or it failed."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    sys.stderr.write(f"Installing Debian's {package}, which the tests need ...\n")
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
