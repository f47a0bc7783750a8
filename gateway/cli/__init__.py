"""What each command of `tidegate` does. main.py declares them, and imports these modules when asked.

Exit codes are one list for all commands, and scripts may rely on them; `tidegate --help` shows it.
"""

DONE = 0
FAILED = 1
"""Something that should not happen, with its traceback on standard error."""
WRONG_INPUT = 2
"""A wrong setting, option or file, or an address in use; one sentence on standard error says which."""
REFUSED = 3
"""The gateway answered that the request is wrong (4xx); sending it again won't help."""
UNREACHABLE = 4
"""The gateway can't be reached or failed (5xx, 408, 429); trying again later may help."""
INTERRUPTED = 130
"""Ctrl-C, as shells write it: 128 and the signal's number."""


class CommandError(Exception):
    """Ends the command with `exit_code` and one message for people on standard error."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
