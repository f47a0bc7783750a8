"""What the flags refuse, as the answers that say so."""

from collections.abc import Iterator
from contextlib import contextmanager

from flags import errors as refused
from gateway.core.errors import (
    FlagsUnavailable,
    FlagsUncertain,
    InvalidInput,
    MoveForbidden,
    NoSuchFlag,
    RevisionStale,
)


def entity_tag(revision: int) -> str:
    """A flag's ETag: its revision, quoted (RFC 9110, section 8.8.3)."""
    return f'"{revision}"'


@contextmanager
def flag_problems() -> Iterator[None]:
    """Translates every FlagError that is raised within into one of gateway/core/errors.py."""
    try:
        yield
    except refused.InvalidFlag as error:
        raise InvalidInput("Nothing was changed.", errors=error.errors) from error
    except refused.NotFound as error:
        raise NoSuchFlag(error.detail) from error
    except refused.ForbiddenMove as error:
        raise MoveForbidden(
            error.detail,
            errors=[{"pointer": "/stage", "detail": f"must be one of {', '.join(error.allowed)}"}],
            members={"from": error.before, "to": error.after, "allowed": list(error.allowed)},
        ) from error
    except refused.StaleRevision as error:
        raise stale(error) from error
    except refused.StoreUncertain as error:
        raise FlagsUncertain(error.detail) from error
    except refused.FlagError as error:
        raise FlagsUnavailable(error.detail, headers={"Retry-After": "1"}) from error


def stale(error: refused.StaleRevision) -> RevisionStale:
    """The 412 that carries what happened since the revision that was expected."""
    return RevisionStale(
        error.detail,
        headers={"ETag": entity_tag(error.current)} if error.current else {},
        members={
            "expected": error.expected,
            "current": error.current,
            "changes": list(error.since),
        },
    )
