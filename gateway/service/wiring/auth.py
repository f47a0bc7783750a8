"""Who may do what: what `[auth]` comes to."""

from dataclasses import dataclass

from gateway.access.authentication import Authentication
from gateway.core.errors import ConfigError
from gateway.http.front_door import FrontDoor
from gateway.http.hosts import Hosts
from gateway.ports.clock import Clock
from gateway.runtime.stopping import Closing
from gateway.service.settings import AuthSettings, Settings


@dataclass(frozen=True, slots=True)
class Access:
    """Who tells callers apart; `authentication` is None where whoever comes may do everything."""

    settings: AuthSettings
    authentication: Authentication | None

    async def start(self, closing: Closing) -> None:
        """Fetches the issuer's keys, where they are to be fetched."""

    def door(self, hosts: Hosts) -> FrontDoor:
        """What lets requests in that `hosts` do not refuse."""
        return FrontDoor(
            self.authentication,
            hosts,
            cookie=self.settings.cookie,
            takes_parameter=self.settings.query_token,
        )


def make_access(settings: Settings, clock: Clock) -> Access:
    """What tells callers apart. Raises ConfigError where a key can't be used."""
    if settings.auth.mode != "none":
        raise ConfigError("auth.mode: tokens can't be checked in this version, so it must be none.")
    return Access(settings.auth, None)
