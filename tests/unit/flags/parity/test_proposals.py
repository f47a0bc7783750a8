"""What is proposed where all differences of a member are of one kind."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.parity.canonical import ComparisonRules, canonical, differences
from flags.parity.kind_counts import KindCounts
from flags.parity.kinds import Kind
from flags.parity.proposals import Assessment, assess

Items = dict[str, Any]


def assessed(*pairs: tuple[Items, Items]) -> list[Assessment]:
    counts = KindCounts()
    for pushed, polled in pairs:
        counts.add(differences(canonical(pushed), canonical(polled), limit=64))
    return assess(counts.latest())


def mapped(code: str, item: Items) -> Items:
    """What `map` makes of an item with these lines."""
    item = dict(item)
    exec(code, {"item": item})
    return item


def proposed(*pairs: tuple[Items, Items]) -> tuple[str | None, str | None, str | None]:
    (found,) = assessed(*pairs)
    assert found.proposal is not None
    return found.proposal


@pytest.mark.parametrize(
    ("pushed", "polled", "python", "sql"),
    [
        (12.5, "12.50", 'item["x"] = float(item["x"])', "x::text as x"),
        ("12.50", 12.5, 'item["x"] = format(item["x"], ".2f")', "x::numeric as x"),
        (
            "2026-11-27T16:00:00+00:00",
            "2026-11-27T10:00:00-06:00",
            'item["x"] = datetime.fromisoformat(item["x"]).astimezone(UTC).isoformat()',
            "to_char(x at time zone interval '-06:00', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '-06:00' as x",
        ),
        (
            "2026-11-27T16:00:00.12+00:00",
            "2026-11-27T16:00:00.120Z",
            'item["x"] = re.sub(r"(\\.\\d*[1-9])0+\\+", r"\\1+",'
            ' datetime.fromisoformat(item["x"]).astimezone(UTC).isoformat())',
            "to_char(x at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') || 'Z' as x",
        ),
        (
            "2026-11-27T16:00:00",
            "2026-11-27 16:00:00Z",
            None,
            "to_char(x at time zone 'UTC' at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || 'Z' as x",
        ),
        ("PT1H30M", 5400, None, "extract(epoch from x)::float8 as x"),
    ],
)
def test_both_sides_can_be_made_the_same(pushed: Any, polled: Any, python: str | None, sql: str) -> None:
    found = proposed(({"x": pushed}, {"x": polled}))

    assert found == (found[0], sql, 'ignore = ["/x"]')
    if python is None:
        assert found[0] is None
    else:
        assert found[0] is not None
        assert found[0].splitlines()[-2:] == ['if item.get("x") is not None:', f"    {python}"]
        assert mapped(found[0], {"x": polled}) == {"x": pushed}
        assert mapped(found[0], {"x": None, "y": 1}) == {"x": None, "y": 1}


@pytest.mark.parametrize(
    ("pushed", "polled"),
    [
        ("PT1H30M", "01:30:00"),
        ("PT26H", "26:00:00"),
        ("PT5S", "00:00:05"),
        ("PT1M0.25S", "00:01:00.250000"),
        ("PT0S", "00:00:00"),
    ],
)
def test_a_duration_on_a_clock_is_made_one_of_iso_8601(pushed: str, polled: str) -> None:
    python, sql, setting = proposed(({"x": pushed}, {"x": polled}))

    assert (sql, setting) == ("to_char(x, 'HH24:MI:SS') as x", 'ignore = ["/x"]')
    assert python is not None
    assert mapped(python, {"x": polled}) == {"x": pushed}
    assert mapped(python, {"x": None}) == {"x": None}


def test_a_name_is_the_one_that_fits_every_time() -> None:
    found = assessed(
        ({"ticket_id": 7, "n": 1}, {"ticket": 7, "agent": 7, "n": 1}),
        ({"ticket_id": 8, "agent": 1, "n": 1}, {"ticket": 8, "agent": 1, "n": 1}),
        ({"ticket_id": None, "n": 1}, {"ticket": None, "n": 1}),
    )

    assert {(one.pointer, one.kind, one.other) for one in found} == {
        ("/ticket_id", Kind.NAME, "/ticket"),
        ("/agent", Kind.POLLED_ONLY, None),
    }


def test_a_renamed_member_is_one_line_with_both_names() -> None:
    (found,) = assessed(
        ({"ticket_id": 7, "n": 1}, {"ticket": 7, "n": 1}), ({"ticket_id": None}, {"ticket": None})
    )

    assert (found.pointer, found.kind, found.other, found.share) == ("/ticket_id", Kind.NAME, "/ticket", 1)
    assert found.proposal is not None
    python, sql, setting = found.proposal
    assert (sql, setting) == ("ticket_id as ticket", None)
    assert python is not None
    assert mapped(python, {"ticket": 7, "n": 1}) == {"ticket_id": 7, "n": 1}
    assert mapped(python, {"n": 1}) == {"n": 1}


@pytest.mark.parametrize(
    "pairs",
    [
        [({"a": 7}, {"b": 7, "c": 7})],
        [({"a": 7}, {"b": 7}), ({"a": 7}, {"b": 8})],
        [({"a": None}, {"b": None})],
        [({"a": 7}, {"b": 7}), ({"a": 7}, {"a": 8})],
    ],
    ids=["two fit", "not each time", "nothing but null", "it is on both sides as well"],
)
def test_what_only_may_be_a_name_is_none(pairs: list[tuple[Items, Items]]) -> None:
    assert Kind.NAME not in {found.kind for found in assessed(*pairs)}


def test_nothing_is_proposed_where_differences_are_of_several_kinds() -> None:
    (found,) = assessed(*[({"x": 1.5}, {"x": "1.50"})] * 3, ({"x": 1}, {"x": "one"}))

    assert (found.kind, found.times, found.share, found.proposal) == (Kind.NUMBER_AS_TEXT, 4, 0.75, None)


def test_nothing_is_proposed_for_values_that_simply_differ() -> None:
    (found,) = assessed(({"x": 1}, {"x": 2}))

    assert (found.kind, found.proposal) == (Kind.VALUE, None)


def test_what_can_be_overlooked_is_named_as_settings_write_it() -> None:
    assert proposed(({"tags": ["a", "b"]}, {"tags": ["b", "a"]})) == (None, None, 'unordered = ["/tags"]')
    assert proposed(({"x": 1}, {})) == (None, None, 'ignore = ["/x"]')
    assert proposed(({}, {"x": 1})) == (None, None, 'ignore = ["/x"]')
    assert proposed(({"x": [{"y": 1}]}, {"x": [{"y": "1"}]})) == (None, None, 'ignore = ["/x/*/y"]')


def test_names_are_quoted_where_they_have_to_be() -> None:
    python, sql, setting = proposed(({'Größe "x"': 1}, {'Größe "x"': "1"}))

    assert sql == '"Größe ""x"""::text as "Größe ""x"""'
    assert python is not None
    assert mapped(python, {'Größe "x"': "1"}) == {'Größe "x"': 1}
    assert setting == 'ignore = ["/Größe \\"x\\""]'


def test_a_member_within_a_member_is_mapped_and_not_a_column() -> None:
    python, sql, _ = proposed(({"a": {"b": 1}}, {"a": {"b": "1"}}))

    assert sql is None
    assert python is not None
    assert mapped(python, {"a": {"b": "1"}}) == {"a": {"b": 1}}


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(-1e-4, 1e-4)), min_size=1, max_size=5))
def test_a_proposed_tolerance_is_enough(pairs: list[tuple[float, float]]) -> None:
    given = [({"x": value}, {"x": value + gap}) for value, gap in pairs if value + gap != value]
    if not given:
        return
    _, _, setting = proposed(*given)
    assert setting is not None
    rules = ComparisonRules.of(numeric_tolerance=float(setting.removeprefix("numeric_tolerance = ")))

    assert not any(differences(canonical(one), canonical(other), rules) for one, other in given)


MOMENTS = st.floats(86_400, 4e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def as_pushed(moment: datetime) -> str:
    """As Postgres writes it in JSON, in UTC."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}+00:00"


@given(st.lists(MOMENTS, min_size=1, max_size=4), st.integers(-12, 14))
def test_a_proposed_mapping_of_times_makes_all_of_them_the_same(moments: list[datetime], hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    pairs = [({"x": as_pushed(one)}, {"x": one.astimezone(zone).isoformat(sep=" ")}) for one in moments]
    (found,) = assessed(*pairs)

    assert (found.kind, found.share) == (Kind.INSTANT, 1)
    assert found.proposal is not None
    if found.proposal.python is not None:
        assert [mapped(found.proposal.python, polled) for _, polled in pairs] == [one for one, _ in pairs]


@given(st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=4))
def test_a_proposed_mapping_of_numbers_makes_all_of_them_the_same(values: list[Any]) -> None:
    as_text = [({"x": float(value)}, {"x": str(value)}) for value in values]
    for pairs in (as_text, [(polled, pushed) for pushed, polled in as_text]):
        python, _, _ = proposed(*pairs)
        assert python is not None
        assert [mapped(python, polled) for _, polled in pairs] == [pushed for pushed, _ in pairs]
