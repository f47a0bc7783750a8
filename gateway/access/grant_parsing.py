"""Subscribe grants as tokens and configurations write them (docs/protocol.md, section 9). Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway.core.errors import BadParameter
from gateway.core.events import NAME_PATTERN, is_text
from gateway.core.filters import Filter, filter_of, parse_filters
from gateway.core.grants import EVERY, GLOBAL, Grant, Members
from gateway.core.quoted_values import in_quotes, read_value
from gateway.core.selectors import MAX_FILTERS, MAX_VALUES

_NAME = re.compile(NAME_PATTERN)
_READS_AS_FILTER = re.compile(r'(?!")[^=,]*=[A-Za-z]+\.')
_OBJECT_MEMBERS = frozenset({"entity", "filters", "members"})
_MAX_ID_CHARACTERS = 256


class MalformedGrant(ValueError):
    """Its text says what a grant must be: the end of a sentence that begins "a grant …"."""


class GrantParts(NamedTuple):
    """What a grant says, its filters as they were written."""

    entity: str
    entity_id: str | None = None
    filters: tuple[Filter, ...] = ()
    members: Members = None


def parse_grant(given: Any) -> Grant:
    """The grant that decoded JSON writes. Raises MalformedGrant."""
    parts = read_grant(given)
    return Grant(parts.entity, parts.entity_id, in_one_form(map(canonical, parts.filters)), parts.members)


def read_grant(given: Any) -> GrantParts:
    """The parts of the grant that decoded JSON writes. Raises MalformedGrant."""
    if isinstance(given, str):
        return _read_text(given)
    if isinstance(given, Mapping):
        return _read_object(given)
    raise MalformedGrant('must be text such as "order", or an object')


def written_grant(grant: Grant) -> str:
    """The grant for people, as a token could write it but for its members."""
    text = grant.entity
    if grant.entity_id is not None:
        text += f":{in_quotes(grant.entity_id)}"
    if grant.filters:
        text += f":{','.join(given.text for given in grant.filters)}"
    if grant.members is not None:
        text += f" (members {', '.join(sorted(grant.members)) or 'none'})"
    return text


def canonical(given: Filter) -> Filter:
    """The filter in the one text of its meaning."""
    return filter_of(given.path, given.operator, given.operands)


def in_one_form(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """Filters that all have to match, in the one order that they have in grants, without repeats."""
    by_text = {given.text: given for given in filters}
    return tuple(by_text[text] for text in sorted(by_text))


def is_entity_id(text: str) -> bool:
    """Whether an event may have that entity id."""
    return 1 <= len(text) <= _MAX_ID_CHARACTERS and is_text(text)


def _read_text(given: str) -> GrantParts:
    entity, colon, rest = given.partition(":")
    if not colon:
        return GrantParts(_entity(entity))
    if not _NAME.match(entity) or entity == GLOBAL:
        raise MalformedGrant(
            f'must have an entity type (1 to 64 of A-Z a-z 0-9 _ . -) before ":", and not "{GLOBAL}"'
        )
    if _READS_AS_FILTER.match(rest):
        return GrantParts(entity, filters=_filters([rest]))
    try:
        value = read_value("entity", rest, 0)
    except BadParameter as error:
        raise _malformed(error) from None
    if value.end != len(rest) or not is_entity_id(value.text):
        raise MalformedGrant(
            'must have an id of 1 to 256 characters after ":", in quotes where it holds a comma, '
            "and without control characters"
        )
    return GrantParts(entity, value.text)


def _read_object(given: Mapping[str, Any]) -> GrantParts:
    if not _OBJECT_MEMBERS.issuperset(given):
        raise MalformedGrant(f"must have no members but {', '.join(sorted(_OBJECT_MEMBERS))}")
    entity = given.get("entity")
    if not isinstance(entity, str):
        raise MalformedGrant("must have an entity type as its entity")
    filters = _texts("filters", given["filters"]) if "filters" in given else ()
    members = frozenset(_texts("members", given["members"])) if "members" in given else None
    return GrantParts(_entity(entity), None, _filters(filters), members)


def _entity(text: str) -> str:
    if text not in (EVERY, GLOBAL) and not _NAME.match(text):
        raise MalformedGrant(
            f'must name an entity type (1 to 64 of A-Z a-z 0-9 _ . -), "{EVERY}" or "{GLOBAL}"'
        )
    return text


def _texts(name: str, given: Any) -> list[str]:
    if not isinstance(given, list | tuple) or not all(
        isinstance(text, str) and text and is_text(text) for text in given
    ):
        raise MalformedGrant(f"must have a list of texts as its {name}")
    if len(given) > MAX_VALUES:
        raise MalformedGrant(f"must have at most {MAX_VALUES} {name}")
    return list(given)


def _filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    """The filters of these texts, each with one or several. Raises MalformedGrant."""
    filters: list[Filter] = []
    operands = 0
    try:
        for given in _each_filter(texts):
            filters.append(given)
            operands += len(given.operands)
            if len(filters) > MAX_FILTERS or operands > MAX_VALUES:
                raise MalformedGrant(f"must have at most {MAX_FILTERS} filters with {MAX_VALUES} operands")
    except BadParameter as error:
        raise _malformed(error) from None
    return tuple(filters)


def _each_filter(texts: Iterable[str]) -> Iterator[Filter]:
    for joined in texts:
        if not is_text(joined):
            raise MalformedGrant("must be text without control characters")
        yield from parse_filters(joined)


def _malformed(error: BadParameter) -> MalformedGrant:
    return MalformedGrant(f"must be well-formed: {error.errors[0]['detail']}")
