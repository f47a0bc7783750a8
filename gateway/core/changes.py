"""How an event names the old and the new value of a member that changed (docs/protocol.md, section 7)."""

import re

_NEXT_WORD = re.compile(r"[_-]+([^_-])")


def member_suffix(member: str, entity: str) -> str:
    """What follows `previous` and `new` in the names of a changed member's old and new value.

    The member's name loses the entity's name as a prefix, whatever its case, but only as a whole word:
    `orderStage` of an order gives `Stage`, `order_stage` too; `ordering` and `order` stay whole. Words that
    `_` or `-` part become one in camel case: `payment_status` gives `PaymentStatus`. Postgres' migration 006
    does the same to the suffixes that earlier captures hold.
    """
    rest = member[len(entity) :]
    if member[: len(entity)].lower() == entity.lower() and (rest[:1].isupper() or rest[:1] in ("_", "-")):
        member = rest.lstrip("_-") or member
    member = _NEXT_WORD.sub(lambda found: found[1].upper(), member)
    return member[:1].upper() + member[1:]
