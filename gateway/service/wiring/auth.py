"""Who may do what: what `[auth]` comes to."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from yarl import URL

from gateway.access.authentication import Authentication
from gateway.access.jwks import RemoteKeys
from gateway.access.jwks_fetch import fetch_jwks
from gateway.access.static_keys import StaticKeys
from gateway.access.token_keys import KeySet, keys_of_pem, keys_of_secret
from gateway.access.tokens import Expected, FixedKeys, TokenVerifier
from gateway.core.credentials import Credentials
from gateway.core.errors import ConfigError
from gateway.http.admittance import Admittance
from gateway.http.hosts import Hosts
from gateway.ports.clock import Clock
from gateway.runtime.outage import Outage
from gateway.runtime.supervisor import Supervisor
from gateway.service.settings import AuthSettings, Settings
from gateway.service.wiring.rights import rights_of

FIRST_FETCH_SECONDS = 2.0
"""How long the start waits for the issuer's keys; tokens get 503 while there are none."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who tells callers apart; `authentication` is None where whoever comes may do everything.

    `remote_keys` are those that are fetched, None where none are.
    """

    settings: AuthSettings
    authentication: Authentication | None
    remote_keys: RemoteKeys | None = None

    async def start(self, supervisor: Supervisor) -> None:
        """Fetches the issuer's keys from now on, where they are to be fetched, until the supervisor ends."""
        if self.remote_keys is not None:
            supervisor.run("token_keys", self.remote_keys.run)
            await self.remote_keys.tried(FIRST_FETCH_SECONDS)

    def warnings(self) -> list[str]:
        """What an operator should see to although callers are served, one sentence each."""
        if self.remote_keys is None or not self.remote_keys.is_out_of_reach:
            return []
        return ["The keys at auth.jwks_url can't be fetched: those that were fetched last stay good, if any."]

    def admittance(self, hosts: Hosts, check_revoked: Callable[[Credentials], None]) -> Admittance:
        """What lets requests in that `hosts` do not refuse, whose credentials are not revoked."""
        return Admittance(
            self.authentication,
            hosts,
            check_revoked,
            cookie=self.settings.cookie,
            takes_parameter=self.settings.query_token,
        )


def make_access(settings: Settings, clock: Clock) -> Access:
    """What tells callers apart. Raises ConfigError where a key can't be used, and as `check_mode` does."""
    auth = settings.auth
    check_mode(auth)
    if auth.mode == "none":
        return Access(auth, None)
    remote_keys = None if auth.jwks_url is None else _remote_keys(auth.jwks_url, clock)
    keys = remote_keys or FixedKeys(load_keys(settings))
    expected = Expected(auth.audience, auth.issuer, auth.leeway_seconds)
    tokens = TokenVerifier(keys, expected, lambda: clock.wall_ms() / 1000)
    static_keys = StaticKeys({key.sha256.get_secret_value(): key.name for key in auth.keys})
    return Access(auth, Authentication(tokens, static_keys, rights_of(auth)), remote_keys)


def _remote_keys(url: str, clock: Clock) -> RemoteKeys:
    outage = Outage(_log, "jwks", now=clock.monotonic, address=str(URL(url).origin()))
    return RemoteKeys(partial(fetch_jwks, url), clock.monotonic, outage)


def check_mode(auth: AuthSettings) -> None:
    """Raises ConfigError where whoever set something about tokens forgot to ask callers for them."""
    others = sorted(auth.model_fields_set - {"mode"})
    if others and "mode" not in auth.model_fields_set:
        raise ConfigError(
            f'auth.mode must be set where auth.{others[0]} is: to "jwt", or to "none" where everybody is to '
            "be let in all the same."
        )


def load_keys(settings: Settings) -> KeySet:
    """The keys that are in the settings, or in the file that they name; none where they are elsewhere.

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
