"""A parity report as JSON between nodes, and back. Pure.

What is read was written by another process: every member is checked for its type, and lists for their length.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from flags.parity.kind_counts import PlaceKinds
from flags.parity.kinds import Form, Kind
from flags.parity.report import DifferingPlace, Example, NoiseFloor, Outcome, ParityReport, Reason
from flags.plain_json import as_amount, as_count, as_counts, as_flag, as_list, as_object, as_row, as_text

Value = TypeVar("Value")

_COUNTS = ("samples", "dropped", "unchanged", "pending", "standing", "noisy")
_MOST = 1000
_MOST_TEXT = 10_000


def wire(report: ParityReport) -> dict[str, Any]:
    """The JSON object from which `of` gives the report back."""
    return {
        "outcomes": {outcome.value: count for outcome, count in report.outcomes.items()},
        "incomparable": {reason.value: count for reason, count in report.incomparable.items()},
        **{name: getattr(report, name) for name in _COUNTS},
        "brokenChains": report.broken_chains,
        "trackedShare": report.tracked_share,
        "noiseFloor": [
            report.noise_floor.compared,
            report.noise_floor.differing,
            _places(report.noise_floor.places),
        ],
        "places": {entity_type: _places(found) for entity_type, found in report.places.items()},
        "kinds": {
            entity_type: [_kinds(place) for place in found] for entity_type, found in report.kinds.items()
        },
        "examples": [
            [example.entity_type, example.entity_id, example.pointer, example.pushed, example.polled]
            for example in report.examples
        ],
    }


def of(value: object) -> ParityReport:
    """Raises ValueError where it is no such object."""
    members = as_object(value, 20)
    compared, differing, noisy_places = as_row(members.get("noiseFloor"), 3)
    share = as_amount(members.get("trackedShare"))
    if share > 1:
        raise ValueError("must be a share")
    return ParityReport(
        outcomes=as_counts(members.get("outcomes"), Outcome),
        incomparable=as_counts(members.get("incomparable"), Reason),
        **{name: as_count(members.get(name)) for name in _COUNTS},
        broken_chains=as_count(members.get("brokenChains")),
        tracked_share=share,
        noise_floor=NoiseFloor(as_count(compared), as_count(differing), _places_of(noisy_places)),
        places=_by_type(members.get("places"), _places_of),
        kinds=_by_type(members.get("kinds"), _kinds_of),
        examples=tuple(_example_of(row) for row in as_list(members.get("examples"), _MOST)),
    )


def _places(places: Iterable[DifferingPlace]) -> list[list[Any]]:
    return [[place.pointer, place.count] for place in places]


def _places_of(value: object) -> tuple[DifferingPlace, ...]:
    rows = (as_row(row, 2) for row in as_list(value, _MOST))
    return tuple(DifferingPlace(as_text(pointer, _MOST_TEXT), as_count(count)) for pointer, count in rows)


def _kinds(place: PlaceKinds) -> list[Any]:
    return [
        place.pointer,
        {kind.value: count for kind, count in place.counts.items()},
        _forms(place.pushed),
        _forms(place.polled),
        place.gap,
        sorted(place.names),
        place.is_telling,
    ]


def _kinds_of(value: object) -> tuple[PlaceKinds, ...]:
    return tuple(_place_kinds(as_row(row, 7)) for row in as_list(value, _MOST))


def _place_kinds(row: list[Any]) -> PlaceKinds:
    pointer, counts, pushed, polled, gap, names, is_telling = row
    kinds = as_counts(counts, Kind)
    if not sum(kinds.values()):
        raise ValueError("must have a kind that was counted")
    return PlaceKinds(
        as_text(pointer, _MOST_TEXT),
        kinds,
        _forms_of(pushed),
        _forms_of(polled),
        as_amount(gap),
        frozenset(as_text(name, _MOST_TEXT) for name in as_list(names, _MOST)),
        as_flag(is_telling),
    )


def _forms(forms: frozenset[Form] | None) -> list[list[Any]] | None:
    return None if forms is None else [list(form) for form in sorted(forms, key=repr)]


def _forms_of(value: object) -> frozenset[Form] | None:
    if value is None:
        return None
    return frozenset(
        Form(as_text(style, 100), None if digits is None else as_count(digits), as_text(offset, 100))
        for style, digits, offset in (as_row(row, 3) for row in as_list(value, _MOST))
    )


def _example_of(row: object) -> Example:
    entity_type, entity_id, pointer, pushed, polled = as_row(row, 5)
    return Example(
        as_text(entity_type, _MOST_TEXT),
        as_text(entity_id, _MOST_TEXT),
        as_text(pointer, _MOST_TEXT),
        pushed,
        polled,
    )


def _by_type(value: object, read: Callable[[object], Value]) -> Mapping[str, Value]:
    by_type = as_object(value, _MOST)
    return {as_text(entity_type, _MOST_TEXT): read(found) for entity_type, found in by_type.items()}
