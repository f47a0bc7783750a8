"""What a process inherits of its caller's signals, and how to pass none of it on."""

import signal
from types import FrameType

_OF_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python ignores them itself, and gives a child their defaults (subprocess, `restore_signals`)."""


def pass_no_ignored_signals_on() -> None:
    """Lets child processes begin with every signal's default, whatever this one's caller ignored.

    An ignored signal stays ignored over exec, one with a handler gets its default there (POSIX, execve). So
    this process goes on to ignore what it was told to, with a handler that does nothing.
    """
    for number in signal.valid_signals() - _OF_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Handles a signal as if it were ignored."""
