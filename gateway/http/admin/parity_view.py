"""What a component's parity came to, as JSON (docs/protocol.md, section 8)."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from flags.decide.flag import Flag
from flags.decide.stages import COMPARED, Stage
from flags.parity.kind_counts import PlaceKinds
from flags.parity.proposals import Proposal, assess
from flags.parity.report import WHY, DifferingPlace, NoiseFloor, Outcome, ParityReport, Reason
from gateway.core.times import rfc3339
from gateway.migration.parity_lane import Begun


class Unknown(NamedTuple):
    """Why there is no consistency: in a word or two for programs, and in a sentence for people."""

    reason: str
    why: str


_NO_SAMPLES = "no samples"
_NOBODY = Unknown(
    "not compared yet",
    "Of the nodes that share the log the one that asks the upstream compares: it has not yet, or nobody "
    "polls or streams.",
)


def parity_members(
    component: str,
    flag: Flag | None,
    report: ParityReport | None,
    *,
    same_source: bool,
    begun: Begun | None,
) -> dict[str, Any]:
    """The answer for one component: the figures of `report`, None where it has no route to compare.

    `same_source`: all that it pushes is made from the polls that it would be compared with.
    `consistency` is null where nothing was compared that proves anything; `reason` and `why` are there then.
    """
    consistency = None if report is None else report.consistency
    members = {
        "component": component,
        "stage": None if flag is None else flag.stage.value,
        "checkRatio": None if flag is None else flag.check_ratio,
        "consistency": consistency,
        "comparedBy": _compared_by(begun),
    }
    if consistency is None:
        unknown = _unknown(component, flag, report, same_source)
        if unknown.reason == _NO_SAMPLES and begun is not None and begun.by is None:
            unknown = _NOBODY
        members |= unknown._asdict()
    return members | _figures(report or ParityReport())


def _compared_by(begun: Begun | None) -> dict[str, Any] | None:
    """Whether it is this node that compares, since when, and why it began anew then."""
    if begun is None:
        return None
    by = begun.by
    return {
        "here": by is not None,
        "since": rfc3339(begun.at_ms),
        "begunAnew": None if by is None else by.value,
    }


def _unknown(component: str, flag: Flag | None, report: ParityReport | None, same_source: bool) -> Unknown:
    if report is None:
        return Unknown(
            "no shared route", f"{component} has no legacy route with shared = true: nothing polled is known."
        )
    if same_source:
        return Unknown(
            f"incomparable: {Reason.SAME_SOURCE}",
            'Push is made from the very poll: comparing the two proves nothing. Set events = "external", '
            "and publish the changes from where they are made.",
        )
    if flag is None:
        return Unknown("no flag", f"{component} has no flag: nothing is compared before stage shadow.")
    if flag.stage not in COMPARED:
        *others, last = (stage for stage in Stage if stage in COMPARED)
        return Unknown(
            f"stage {flag.stage}",
            f"Nothing is compared in stage {flag.stage}: it is in {', '.join(others)} and {last}.",
        )
    return _not_yet(report)


def _not_yet(report: ParityReport) -> Unknown:
    if not report.samples:
        return Unknown(_NO_SAMPLES, "No polled answer has been compared yet: somebody has to poll or stream.")
    if not report.incomparable:
        return Unknown("no changes", "Nothing has changed since comparing began, so nothing is proven.")
    reason = max(report.incomparable, key=lambda given: report.incomparable[given])
    return Unknown(f"incomparable: {reason}", WHY[reason])


def _figures(report: ParityReport) -> dict[str, Any]:
    return {
        "outcomes": {outcome.value: report.outcomes.get(outcome, 0) for outcome in Outcome},
        "incomparable": {reason.value: count for reason, count in report.incomparable.items()},
        "samples": report.samples,
        "dropped": report.dropped,
        "unchanged": report.unchanged,
        "pending": report.pending,
        "standing": report.standing,
        "noisy": report.noisy,
        "brokenChains": report.broken_chains,
        "trackedShare": report.tracked_share,
        "noiseFloor": _noise(report.noise_floor),
        "places": {entity_type: _places(found) for entity_type, found in report.places.items()},
        "kinds": {entity_type: _kinds(found) for entity_type, found in report.kinds.items()},
        "examples": [
            {
                "entityType": example.entity_type,
                "entityId": example.entity_id,
                "pointer": example.pointer,
                "pushed": example.pushed,
                "polled": example.polled,
            }
            for example in report.examples
        ],
    }


def _noise(floor: NoiseFloor) -> dict[str, Any]:
    return {
        "compared": floor.compared,
        "differing": floor.differing,
        "ratio": floor.ratio,
        "places": _places(floor.places),
    }


def _places(places: Iterable[DifferingPlace]) -> list[dict[str, Any]]:
    return [{"pointer": place.pointer, "count": place.count} for place in places]


def _kinds(places: Iterable[PlaceKinds]) -> list[dict[str, Any]]:
    return [
        {
            "pointer": found.pointer,
            "kind": found.kind.value,
            "count": found.times,
            "share": found.share,
            "polledAs": found.other,
            "proposal": None if found.proposal is None else _proposal(found.proposal),
        }
        for found in assess(places)
    ]


def _proposal(proposal: Proposal) -> dict[str, str | None]:
    return {"map": proposal.python, "as": proposal.sql, "parity": proposal.setting}
