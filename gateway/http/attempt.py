"""The parameter `attempt`: a random word by which a client's report names one opening of a stream.

A client that was never told the `clientId` of its stream can say so all the same (docs/protocol.md, sections
4 and 8).
"""

import re

from gateway.core.errors import BadParameter
from gateway.http.parameters import ATTEMPT, parameters_of
from gateway.http.request_head import RequestHead
from gateway.migration.links import ATTEMPT_PARAMETER

MAX_CHARACTERS = 64
PATTERN = r"[A-Za-z0-9_-]{1,64}"
"""What an attempt is made of: MAX_CHARACTERS at most, which are the same in a URL as in JSON."""
_ATTEMPT = re.compile(PATTERN + r"\Z")


def attempt_of(request: RequestHead) -> str | None:
    """Which attempt the request says that it is, None where it does not say. Of several the first counts.

    Raises BadParameter.
    """
    known: str | None = request.get(ATTEMPT)
    if known is None:
        given = parameters_of(request).own.get(ATTEMPT_PARAMETER)
        if not given:
            return None
        known = given[0]
    if not _ATTEMPT.match(known):
        raise BadParameter(ATTEMPT_PARAMETER, f"must be 1 to {MAX_CHARACTERS} of A-Z, a-z, 0-9, _ and -")
    return known
