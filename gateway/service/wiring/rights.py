"""What callers are granted, as a gateway's settings say it."""

from dataclasses import replace

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
    return Rule(settings.when, tuple(map(parse_template, settings.subscribe)), _allowance(settings))


def _of_key(settings: StaticKeySettings) -> Source:
    return Source(f"key {settings.name}", tuple(map(parse_grant, settings.subscribe)), _allowance(settings))


def _of_anonymous(settings: AnonymousSettings) -> Source:
    return Source("anonymous", tuple(map(parse_grant, settings.subscribe)), _channels_and_types(settings))


def _allowance(settings: RuleSettings | StaticKeySettings) -> Allowance:
    return replace(_channels_and_types(settings), admin=settings.admin, metrics=settings.metrics)


def _channels_and_types(settings: RuleSettings | StaticKeySettings | AnonymousSettings) -> Allowance:
    return Allowance(
        publish=frozenset(settings.publish),
        presence=frozenset(settings.presence),
        broadcast=frozenset(settings.broadcast),
    )
