"""Legacy endpoints: polled once for everybody, compared, published, and served from one snapshot.

docs/protocol.md, section 7. `route` is what is configured; `comparison` turns two answers into events;
`fetch` asks for a list; `tracker` keeps the last good answer and publishes; `poller` decides when to ask and
what a caller gets; `proxy` takes through what no snapshot can answer; `source` holds them together.
"""

from adapters.upstream.failures import BadAnswer
from adapters.upstream.poller import Poller
from adapters.upstream.proxy import Proxy
from adapters.upstream.reading.comparison import derived_members
from adapters.upstream.source import UpstreamSource

__all__ = [
    "BadAnswer",
    "Poller",
    "Proxy",
    "UpstreamSource",
    "derived_members",
]
