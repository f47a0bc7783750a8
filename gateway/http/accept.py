"""Content negotiation, as far as this gateway needs it (RFC 9110, sections 12.5.1 and 12.5.3)."""

from functools import lru_cache


@lru_cache(maxsize=256)
def accepts(header: str, media_type: str) -> bool:
    """Whether an Accept header admits `media_type`; none, or an empty one, admits everything.

    The most specific range that covers it decides, and a quality of 0 excludes.
    """
    if not header.strip():
        return True
    kind = media_type.partition("/")[0]
    specificity = {"*/*": 1, f"{kind}/*": 2, media_type: 3}
    best = (0, False)
    for item in header.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        rank = specificity.get(media_range, 0)
        if rank > best[0]:
            best = (rank, _quality(parameters) > 0)
    return best[1]


@lru_cache(maxsize=256)
def accepts_coding(header: str, coding: str) -> bool:
    """Whether an Accept-Encoding header asks for `coding`; none, or an empty one, does not.

    The RFC lets a server use any coding where the header is missing, but a client that does not say that it
    can decode one may not. `x-gzip` is `gzip` (section 8.4.1.3), and `*` is whatever is not named. A
    quality of 0 excludes, and so does a lower one than that of `identity` where that is named.
    """
    qualities: dict[str, float] = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        name = name.removeprefix("x-")
        qualities[name] = min(_quality(parameters), qualities.get(name, 1.0))
    quality = qualities.get(coding, qualities.get("*", 0.0))
    return quality > 0 and quality >= qualities.get("identity", 0.0)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
