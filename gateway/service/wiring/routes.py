"""`[[legacy]]` as the routes that upstreams are asked for."""

from pathlib import Path

from adapters.upstream.asking.tls import context_of
from adapters.upstream.functions.runner import check_functions
from gateway.core.errors import ConfigError
from gateway.ports.legacy_route import Functions, LegacyRoute, Pages, UpstreamTls
from gateway.service.legacy_settings import LegacySettings
from gateway.service.settings import Settings

_SAME = LegacySettings.model_fields.keys() - {
    *("key", "headers", "query", "body", "pages", "decode", "map", "ca_file", "cert_file", "key_file"),
    "parity",
}
"""Settings that a route has under the same name, as they are."""


def routes_of(settings: Settings) -> list[LegacyRoute]:
    """Every configured route, in its order."""
    max_event_bytes = settings.publish.max_event_bytes
    return [legacy_route(given, settings.base_dir, max_event_bytes) for given in settings.legacy]


def check_routes(settings: Settings) -> None:
    """Reads the routes' files for TLS, and imports their functions in a process of their own.

    Raises ConfigError where one of them can't be used. Blocks for as long as importing takes.
    """
    seen: set[UpstreamTls | Functions] = {UpstreamTls(), Functions()}
    for index, route in enumerate(routes_of(settings)):
        try:
            if route.tls not in seen:
                context_of(route.tls)
            if route.functions not in seen:
                check_functions(route.functions, str(settings.base_dir))
        except ValueError as error:
            raise ConfigError(f"legacy[{index}].{error}.") from error
        seen |= {route.tls, route.functions}


def legacy_route(given: LegacySettings, base_dir: Path, max_event_bytes: int) -> LegacyRoute:
    """What `given` says of a route. Its files are relative to `base_dir`."""

    def file(name: str | None) -> str | None:
        return None if name is None else str(base_dir / name)

    return LegacyRoute(
        **{name: getattr(given, name) for name in _SAME},
        key=given.key or (),
        headers={name: value.get_secret_value() for name, value in given.headers.items()},
        query="" if given.query is None else given.query.get_secret_value(),
        body=None if given.body is None else given.body.get_secret_value(),
        pages=None if given.pages is None else Pages(given.pages.next, given.pages.link),
        functions=Functions(given.decode, given.map),
        tls=UpstreamTls(file(given.ca_file), file(given.cert_file), file(given.key_file)),
        max_event_bytes=max_event_bytes,
    )
