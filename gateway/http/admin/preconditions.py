"""Which revision of a flag a change is meant for (RFC 9110, section 13.1)."""

import re

from aiohttp import web

from flags.decide.flag import Flag
from gateway.core.entity_tags import strong_tags
from gateway.core.errors import BadParameter, PreconditionRequired, RevisionStale
from gateway.http.admin.flag_problems import entity_tag

_REVISION = re.compile(r"[1-9][0-9]{0,17}\Z")


def expected_revision(request: web.Request, component: str, current: Flag | None) -> int | None:
    """The `expected_revision` of a change: a number, or None for whichever is there.

    `If-Match` names it; without one it is None where there is no flag either. Raises BadParameter for what
    is no list of entity tags, and RevisionStale where none of them can be a revision.
    """
    condition = ",".join(request.headers.getall("If-Match", [])).strip()
    if not condition:
        return None
    revision = 0 if current is None else current.revision
    if condition == "*":
        if current is None:
            raise RevisionStale(f"{component} has no flag, so no revision of it matches.")
        return None
    # If-Match compares strongly: a weak tag never matches.
    strong = strong_tags(condition)
    if strong is None:
        raise BadParameter("If-Match", f"must be the flag's ETag, such as {entity_tag(max(1, revision))}")
    numbers = [int(tag) for tag in strong if _REVISION.match(tag)]
    if revision in numbers:
        return revision
    if numbers:
        return numbers[0]
    raise RevisionStale(
        f"{component} is at {entity_tag(revision)}, which If-Match does not name."
        if revision
        else f"{component} has no flag, so no revision of it matches."
    )


def required_revision(request: web.Request, component: str, current: Flag | None) -> int | None:
    """As `expected_revision`, of a change that must say it.

    Without `If-Match` it is 0, for a flag that is to be made, and PreconditionRequired where there is one;
    `If-None-Match: *` says 0 as well.
    """
    if request.headers.get("If-None-Match", "").strip() == "*":
        return 0
    if "If-Match" in request.headers:
        return expected_revision(request, component, current)
    if current is None:
        return 0
    raise PreconditionRequired(
        f"{component} has a flag already: say with If-Match which revision the change is meant for. "
        f"It is at {entity_tag(current.revision)}.",
        headers={"ETag": entity_tag(current.revision)},
    )
