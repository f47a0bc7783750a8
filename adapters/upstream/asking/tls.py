"""How upstreams are reached over TLS: whom to trust, and who the gateway is."""

import ssl
from collections.abc import Iterable

from gateway.ports.legacy_route import LegacyRoute, UpstreamTls


class TlsContexts:
    """A context for each of the routes' settings, made once, from files that are read now.

    Raises ValueError, which names the file, where one can't be read or is not what it should be.
    """

    def __init__(self, routes: Iterable[LegacyRoute]) -> None:
        self._contexts: dict[UpstreamTls, ssl.SSLContext] = {}
        for route in routes:
            if route.tls != UpstreamTls() and route.tls not in self._contexts:
                try:
                    self._contexts[route.tls] = context_of(route.tls)
                except ValueError as error:
                    raise ValueError(f"{route.path}: {error}") from error

    def of(self, route: LegacyRoute) -> ssl.SSLContext | bool:
        """What aiohttp's client takes for `ssl`: its own, which trusts whom the system trusts, is True."""
        return self._contexts.get(route.tls, True)


def context_of(tls: UpstreamTls) -> ssl.SSLContext:
    """The context for one route's settings. With a `ca_file` nobody is trusted but whom that names.

    Raises ValueError, which names the file, where one can't be read or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise ValueError(f"ca_file: {tls.ca_file} can't be used: {_reason(error, 'certificate')}") from error
    if tls.cert_file is None:
        if tls.key_file is not None:
            raise ValueError("key_file: needs cert_file beside it, the certificate of that key")
        return context
    try:
        # Without a password of its own OpenSSL would ask whoever sits at the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except OSError as error:
        names = tls.cert_file if tls.key_file is None else f"{tls.cert_file} with the key {tls.key_file}"
        reason = _reason(error, "certificate and its key, without a password")
        raise ValueError(f"cert_file: {names} can't be used: {reason}") from error
    return context


def _reason(error: OSError, wanted: str) -> str:
    if isinstance(error, ssl.SSLError):
        return f"it must hold a {wanted}, in PEM"
    return error.strerror or type(error).__name__
