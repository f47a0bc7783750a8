"""`tidegate check-config`: what would run with a configuration."""

import json
from typing import Any

from pydantic import BaseModel, SecretStr

from flags.decide.stages import NO_SOURCE
from gateway.cli.routes.toml import toml_value
from gateway.cli.terminal import table
from gateway.core.redaction import redacted
from gateway.service.legacy_settings import LegacySettings
from gateway.service.settings import AuthSettings, Settings
from gateway.service.wiring.auth import check_mode, load_keys
from gateway.service.wiring.entities import without_source
from gateway.service.wiring.logs import check_url
from gateway.service.wiring.routes import check_routes

_DETAILS = tuple(
    name
    for name in LegacySettings.model_fields
    if name
    not in {
        *("path", "component", "entity", "interval_seconds", "shared", "events", "upstream", "parity"),
        *("items", "key", "changes"),
    }
)
"""Settings of a route that have no column of their own."""


def origin(settings: Settings) -> str:
    """`http://127.0.0.1:8080`, with brackets around an IPv6 address."""
    host = settings.server.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def as_json_text(settings: Settings) -> str:
    """Every setting as JSON, passwords as `***`.

    Raises ConfigError where `log.url` is of no use, `auth.mode` was forgotten, or a key for tokens, a
    file for TLS or a function of a route can't be used.
    """
    check_url(settings)
    check_mode(settings.auth)
    load_keys(settings)
    check_routes(settings)
    shown = _without_secrets(settings.model_dump(mode="json"))
    for route in shown["legacy"]:
        route["upstream"] = _without_query(route["upstream"])
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {name: _without_secrets(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value


def summary(settings: Settings, file: str | None) -> list[str]:
    """A few lines for people about `settings`, which came from `file`. Raises as `as_json_text` does."""
    check_url(settings)
    check_mode(settings.auth)
    load_keys(settings)
    check_routes(settings)
    history = settings.history
    rows: list[tuple[str, ...]] = [
        ("configuration", file or "defaults, no file"),
        ("address", origin(settings) if settings.server.port else f"{origin(settings)} (any free port)"),
        *_named("hosts", settings.server.hosts),
        *_named("trusted proxies", settings.server.trusted_proxies),
        *_named("pages of", settings.cors.origins),
        ("log", redacted(settings.log.url)),
        (
            "history",
            f"{history.max_events} events, {history.max_age_seconds:g} s, {history.max_bytes} bytes",
        ),
        ("authentication", _authentication(settings.auth)),
        *_granted(settings.auth),
        ("workers", str(settings.server.workers)),
        ("flags", _flags(settings)),
    ]
    rows += [(f"entity {name}", f"id alias {entity.id_alias}") for name, entity in settings.entities.items()]
    rows += [
        (f"component {name}", f"owns {', '.join(component.entities) or 'nothing'}")
        for name, component in settings.components.items()
    ]
    lines = table(rows)
    if not settings.legacy:
        return [*lines, "no legacy routes"]
    head = ("PATH", "COMPONENT", "ENTITY", "EVERY", "SHARED", "EVENTS FROM", "UPSTREAM")
    lines += ["", "legacy routes", *table([head, *map(_route, settings.legacy)], "  ")]
    for route in settings.legacy:
        also_set = _also_set(route)
        lines += [f"  {route.path} with {also_set}"] if also_set else []
    return [*lines, *_without_source(settings)]


def _also_set(route: LegacySettings) -> str:
    """What else is not as it is by default; of what is secret, that it is there."""
    said = []
    for name in _DETAILS:
        value = getattr(route, name)
        if not route.has(name):
            continue
        if name == "headers":
            said.append(f"headers {', '.join(value)}")
        elif isinstance(value, SecretStr):
            said.append(f"{name} ***")
        else:
            plain = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
            said.append(f"{name} = {toml_value(plain)}")
    return "; ".join(said)


def _without_source(settings: Settings) -> list[str]:
    """A line for each component that can't go further than `shadow`."""
    return [
        f"component {name} has no source of events: {NO_SOURCE}. It can be off or shadow"
        for name in sorted(without_source(settings))
    ]


def _granted(auth: AuthSettings) -> list[tuple[str, str]]:
    """Where grants come from beside tokens."""
    rows = [("rules", str(len(auth.grants)))] if auth.grants else []
    rows += _named("static keys", tuple(key.name for key in auth.keys))
    if auth.mode != "none":
        rows.append(("without a token", "refused" if auth.anonymous is None else "as auth.anonymous says"))
    return rows


def _named(label: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(label, ", ".join(values))] if values else []


def _authentication(auth: AuthSettings) -> str:
    """Whom the gateway lets in."""
    if auth.mode == "none":
        return auth.mode
    sources = {
        "secret": "tokens by auth.secret",
        "public_key_file": f"tokens by the key in {auth.public_key_file}",
        "jwks_url": f"tokens by the keys at {redacted(auth.jwks_url or '')}",
    }
    words = [sources[name] for name in auth.key_sources]
    words += [f"cookie {auth.cookie}"] if auth.cookie is not None else []
    words += ["access_token in queries"] if auth.query_token else []
    return ", ".join(words) or "static keys alone"


def _route(route: LegacySettings) -> tuple[str, ...]:
    return (
        route.path,
        route.component,
        route.entity,
        f"{route.interval_seconds:g} s",
        "yes" if route.shared else "no",
        _source(route),
        _without_query(route.upstream),
    )


def _without_query(upstream: str) -> str:
    """An address without its query, which may be a credential."""
    address, mark, _ = upstream.partition("?")
    return f"{address}?***" if mark else address


def _source(route: LegacySettings) -> str:
    """What makes the events of the route's entities."""
    if route.events == "external":
        return "outside: publish, capture"
    if route.events == "none":
        return "nothing: it only serves"
    # What one caller sees is nobody else's event (docs/protocol.md, section 7).
    return "polls compared" if route.shared else "nothing: answers are not shared"


def _flags(settings: Settings) -> str:
    store = settings.flags.store
    return store if store.startswith("file:") else f"{store}: in the log's server, shared by all nodes"
