"""How much callers may have: what `[limits]` comes to."""

from gateway.access.admission import Admission, Rates
from gateway.access.occupancy import OpenLimits
from gateway.core.header_fields import HeadLimits
from gateway.ports.clock import Clock
from gateway.service.settings import Settings


def make_admission(settings: Settings, clock: Clock) -> Admission:
    """Counts the streams of this process, and what callers do here."""
    given = settings.limits
    return Admission(
        OpenLimits(given.streams, given.streams_per_subject, given.streams_per_address),
        Rates(
            *(given.opens_per_second, given.publish_per_second),
            *(given.presence_per_second, given.broadcasts_per_second),
        ),
        clock,
    )


def make_head_limits(settings: Settings) -> HeadLimits:
    given = settings.limits
    return HeadLimits(given.url_bytes, given.head_bytes, given.head_fields)
