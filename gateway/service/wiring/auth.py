"""Who may do what: what `[auth]` comes to."""

from dataclasses import dataclass

from gateway.access.authentication import Authentication
from gateway.access.static_keys import StaticKeys
from gateway.access.token_keys import KeySet, keys_of_pem, keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.core.errors import ConfigError
from gateway.http.front_door import FrontDoor
from gateway.http.hosts import Hosts
from gateway.ports.clock import Clock
from gateway.runtime.stopping import Closing
from gateway.service.settings import AuthSettings, Settings
from gateway.service.wiring.rights import rights_of


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
    auth = settings.auth
    if auth.mode == "none":
        return Access(auth, None)
    keys = FixedKeys(load_keys(settings))
    expected = Expected(auth.audience, auth.issuer, auth.leeway_seconds)
    tokens = TokenVerifier(keys, expected, lambda: clock.wall_ms() / 1000)
    static_keys = StaticKeys({key.sha256.get_secret_value(): key.name for key in auth.keys})
    return Access(auth, Authentication(tokens, static_keys, rights_of(auth)))


def load_keys(settings: Settings) -> KeySet:
    """The keys that are in the settings, or in the file that they name; none where there are none.

    Raises ConfigError where a key can't be used.
    """
    auth = settings.auth
    try:
        if auth.secret is not None:
            return keys_of_secret(auth.secret.get_secret_value())
        if auth.public_key_file is not None:
            return keys_of_pem((settings.base_dir / auth.public_key_file).read_bytes())
    except ValueError as error:
        raise ConfigError(f"auth.{auth.key_sources[0]} {error}.") from None
    except OSError as error:
        raise ConfigError(f"auth.public_key_file can't be read: {error.strerror}.") from None
    return KeySet(())
