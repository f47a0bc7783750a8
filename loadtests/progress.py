"""Says on stderr that the run is alive, and where it is."""

import sys
import time

EVERY_SECONDS = 2.0


class Progress:
    """A line for each phase at once, and one at most every 2 s within it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._phase = ""
        self._last = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def phase(self, text: str) -> None:
        """Names what begins now."""
        self._phase = text
        self._print(text)

    def tick(self, text: str) -> None:
        """How far the phase is; cheap enough to be called from a loop."""
        if time.monotonic() - self._last >= EVERY_SECONDS:
            self._print(f"{self._phase}: {text}")

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        print(f"[{self.elapsed_s:6.1f} s] {text}", file=sys.stderr, flush=True)
