"""Migration components: which entity types each owns, and how a caller gets its events."""

from collections.abc import Iterable, Mapping

from gateway.selectors import Selector

STREAMING = "streaming"
POLLING = "polling"


class Components:
    """The configured components. One without a flag streams and polls freely (protocol, section 8)."""

    def __init__(self, owned: Mapping[str, frozenset[str]]) -> None:
        self._owned = owned

    def modes(self, selector: Selector, named: Iterable[str]) -> dict[str, str]:
        """The mode of each component that the caller belongs to.

        These are the components it names; where it names none, every one that owns a type it could receive.
        """
        belongs = tuple(named) or [
            component
            for component, entity_types in sorted(self._owned.items())
            if any(selector.may_receive(entity_type) for entity_type in entity_types)
        ]
        return {component: self.mode(component) for component in belongs}

    def mode(self, component: str) -> str:
        """How callers of `component` are to get its events."""
        return STREAMING


def overall(modes: Mapping[str, str]) -> str:
    """One mode for a caller of several components: streaming where one streams or none is concerned."""
    return POLLING if modes and STREAMING not in modes.values() else STREAMING
