"""gateway/demo/subscriber.js: what the page's stream listens to."""

import re
from pathlib import Path

from gateway.core.events import CONTROL_EVENT_TYPES

SUBSCRIBER = Path(__file__).parents[3] / "gateway" / "demo" / "subscriber.js"
NOT_FOR_IT = {
    # The page asks for no hints.
    "refresh",
    # The page has no token.
    "token-expiring",
    # No gateway sends these yet.
    *("broadcast", "presence"),
}


def test_the_page_listens_to_every_control_event_that_can_come_to_it() -> None:
    heard = re.findall(r'\bon\("([^"]+)"', SUBSCRIBER.read_text())

    assert set(heard) == CONTROL_EVENT_TYPES - NOT_FOR_IT
