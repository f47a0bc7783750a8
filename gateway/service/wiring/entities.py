"""What the settings say of entity types, in the shape that more than one part takes."""

from gateway.service.settings import Settings


def id_aliases(settings: Settings) -> dict[str, str]:
    """The member that stands for the entity's id, by entity type."""
    return {name: entity.id_alias for name, entity in settings.entities.items()}


def without_source(settings: Settings) -> frozenset[str]:
    """The components that have legacy routes, of which none makes events or says that others do."""
    by_route = {route.component: False for route in settings.legacy}
    for route in settings.legacy:
        by_route[route.component] |= route.events == "external" or (route.shared and route.events == "poll")
    return frozenset(component for component, has_source in by_route.items() if not has_source)


def owned_types(settings: Settings) -> dict[str, frozenset[str]]:
    """The entity types of each component: those of its legacy routes, and those it names."""
    owned = {name: frozenset(component.entities) for name, component in settings.components.items()}
    for route in settings.legacy:
        owned[route.component] = owned.get(route.component, frozenset()) | {route.entity}
    return owned
