"""What callers are granted, as a gateway's settings say it."""

from gateway.access.grant_parsing import parse_grant
from gateway.access.grant_templates import parse_template
from gateway.access.rights import Rights, Source
from gateway.access.rules import Allowance, Rule
from gateway.service.grant_settings import AnonymousSettings, RuleSettings, StaticKeySettings
from gateway.service.settings import AuthSettings


def rights_of(auth: AuthSettings) -> Rights:
    """The rights that these settings, which were checked, give."""
    return Rights(
        map(_rule, auth.grants),
        {key.name: _of_key(key) for key in auth.keys},
        None if auth.anonymous is None else _of_anonymous(auth.anonymous),
    )


def _rule(settings: RuleSettings) -> Rule:
    allowance = Allowance(
        publish=frozenset(settings.publish),
        presence=frozenset(settings.presence),
        broadcast=frozenset(settings.broadcast),
        admin=settings.admin,
        metrics=settings.metrics,
    )
    return Rule(settings.when, tuple(map(parse_template, settings.subscribe)), allowance)


def _of_key(settings: StaticKeySettings) -> Source:
    allowance = Allowance(publish=frozenset(settings.publish), admin=settings.admin, metrics=settings.metrics)
    return Source(f"key {settings.name}", tuple(map(parse_grant, settings.subscribe)), allowance)


def _of_anonymous(settings: AnonymousSettings) -> Source:
    allowance = Allowance(
        publish=frozenset(settings.publish),
        presence=frozenset(settings.presence),
        broadcast=frozenset(settings.broadcast),
    )
    return Source("anonymous", tuple(map(parse_grant, settings.subscribe)), allowance)
