"""gateway/access/grant_templates.py: claims become operands and ids, and never a part of a text."""

from typing import Any

import pytest

from gateway.access.grant_parsing import MalformedGrant
from gateway.access.grant_templates import NothingToFill, parse_template, without_claims
from gateway.core.grants import Grant

CLAIMS: dict[str, Any] = {
    "sub": "u42",
    "n": 7,
    "half": 7.5,
    "yes": True,
    "nothing": None,
    "text7": "7",
    "list": [7, "7", "a,b", True, None, {"x": 1}, [9]],
    "empty": [],
    "nulls": [None, {}],
    "object": {"a": {"b": "deep"}, "list": ["x"], "n": 8},
    "https://x/role": "customer",
    "https://x/app.v1": {"id": "p"},
    'a"b\\': "odd",
    "cognito:groups": ["g"],
    "big": 10**400,
    "endless": float("inf"),
    "surrogate": "\ud800",
    "line": "a\nb",
    "long": "x" * 257,
    "many": list(range(1001)),
}


def filled(written: Any, claims: dict[str, Any] = CLAIMS) -> Grant:
    return parse_template(written).filled(claims)


def operands(written: str, claims: dict[str, Any] = CLAIMS) -> list[Any]:
    (given,) = filled(f"order:{written}", claims).filters
    return sorted(given.operands, key=str)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a=eq.{sub}", ["u42"]),
        ("a=eq.{n}", [7]),
        ("a=eq.{half}", [7.5]),
        ("a=eq.{text7}", ["7"]),
        ("a=eq.{yes}", [True]),
        ("a=neq.{sub}", ["u42"]),
        ("a=gte.{n}", [7]),
        ("a=lt.{sub}", ["u42"]),
        ("a=eq.{object.a.b}", ["deep"]),
        ("a=eq.{object.n}", [8]),
        ('a=eq.{"https://x/role"}', ["customer"]),
        ('a=eq.{"https://x/app.v1".id}', ["p"]),
        (r'a=eq.{"a\"b\\"}', ["odd"]),
        ("a=in.{list}", ["7", 7, True, "a,b"]),
        ("a=in.{cognito:groups}", ["g"]),
        ("a=in.{object.list}", ["x"]),
        ("a=in.{sub}", ["u42"]),
        ("a=in.({sub},{n},b)", [7, "b", "u42"]),
        ("a=eq.{line}", ["a\nb"]),
    ],
)
def test_a_claim_becomes_an_operand_of_its_own_type(written: str, expected: list[Any]) -> None:
    given = operands(written)
    assert sorted(map(repr, given)) == sorted(map(repr, expected))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "7",
            "null",
            "true",
            "",
            "a,b",
            '"',
            '"a"',
            "a)",
            "(",
            ")",
            "),b=eq.1",
            'u",b=eq."1',
            "{sub}",
            "{n}",
        ),
        *("u42,customer_id=neq.0", "in.(1,2)", "\\", '\\"', "a\r\nb", "\x00", "\U00100000", "*", "%", "é"),
    ],
)
def test_text_stays_text_whatever_it_holds(text: str) -> None:
    claims = {"sub": text, "list": [text, "b"]}
    (given,) = filled("order:a=eq.{sub}", claims).filters
    assert (given.path, given.operator, given.operands) == (("a",), "eq", (text,))
    assert given.matches({"a": text})
    assert not given.matches({"a": text + "x"})
    assert operands("a=in.{list}", claims) == sorted([text, "b"])
    assert operands("a=in.(c,{sub})", claims) == sorted([text, "c"])


@pytest.mark.parametrize(
    ("claim", "entity_id"),
    [("{sub}", "u42"), ("{n}", "7"), ("{text7}", "7"), ("{object.a.b}", "deep"), ('{"a\\"b\\\\"}', "odd")],
)
def test_a_claim_in_place_of_an_id_is_text(claim: str, entity_id: str) -> None:
    assert filled(f"order:{claim}") == Grant("order", entity_id)


@pytest.mark.parametrize("text", ["a,b", '"a"', "x=eq.1", "b:c", "{sub}"])
def test_an_id_is_the_whole_claim_whatever_it_holds(text: str) -> None:
    assert filled("order:{sub}", {"sub": text}) == Grant("order", text)


@pytest.mark.parametrize(
    "written",
    [
        # Absent, null, an object: whatever the operator.
        *(f"a={operator}.{{{claim}}}" for operator in ("eq", "neq", "gt", "in")
          for claim in ("absent", "nothing", "object", "object.absent", "sub.x", "list.0")),
        *("a=in.({sub},{absent})", "a=in.({sub},{nothing})", "a=eq.1,b=eq.{absent}"),
        # A list fits in.{x} only, and needs something in it.
        *("a=eq.{list}", "a=neq.{list}", "a=in.({list})", "a=in.(1,{list})", "a=gt.{cognito:groups}"),
        *("a=in.{empty}", "a=in.{nulls}", "a=in.{many}"),
        # What the operator does not compare, and what no event holds.
        *("a=gt.{yes}", "a=eq.{big}", "a=eq.{endless}", "a=eq.{surrogate}", "a=in.({surrogate},b)"),
        # No ids.
        *("{absent}", "{nothing}", "{yes}", "{half}", "{big}", "{list}", "{object}", "{line}", "{surrogate}"),
        *("{long}", "{cognito:groups}"),
    ],
)  # fmt: skip
def test_other_claims_grant_nothing(written: str) -> None:
    with pytest.raises(NothingToFill):
        filled(f"order:{written}")


def test_an_empty_text_is_no_id() -> None:
    with pytest.raises(NothingToFill):
        filled("order:{sub}", {"sub": ""})


def test_what_is_said_of_a_claim_does_not_show_it() -> None:
    for written in ("order:a=eq.{list}", "order:{half}", "order:{long}", "order:a=eq.{big}"):
        with pytest.raises(NothingToFill) as failure:
            filled(written, CLAIMS | {"list": ["hunter2"], "long": "hunter2" * 99, "half": 31415.5})
        assert "hunter2" not in str(failure.value)
        assert "31415" not in str(failure.value)


@pytest.mark.parametrize(
    "written",
    [
        # Parts of an operand or an id.
        *("order:a=eq.x{sub}", "order:a=eq.{sub}x", "order:a=eq.{a}{b}", "order:X-{id}", "order:{a}:{b}"),
        *("order:a=in.(x{sub},b)", "order:a=in.{x}y", "order:a=in.{x},1)", "order:a=in.{x}{y}"),
        # Anywhere else.
        *("{type}", "{type}:7", "order:{member}=eq.1", "order:a.{member}=eq.1", "order:a={op}.1", "ord{a}:7"),
        *("order:{filter},b=eq.1", "order:a=is.{x}", "order:a=eq.in.{x}"),
        *(
            {"entity": "{type}"},
            {"entity": "order", "members": ["{name}"]},
            {"entity": "o", "filters": ["{f}"]},
        ),
        # In quotes.
        *('order:a=eq."{sub}"', 'order:"{id}"', 'order:a=eq."x{sub}"', 'order:a=eq."x {sub} y"'),
        *('order:a=in.("{a}")', 'order:a=eq."x{sub} y"', 'order:a=in.("x,{a},y")'),
        # No claim at all.
        *("order:a=eq.{}", "order:a=eq.{a..b}", "order:a=eq.{.a}", "order:a=eq.{a.}", "order:a=eq.{ a }"),
        *("order:a=eq.{https://x/role}", 'order:a=eq.{""}', 'order:a=eq.{"a}', 'order:a=eq.{"a"b}'),
        *("order:a=eq.{", "order:a=eq.}", "order:a=eq.{a", "order:a=eq.{{a}}", "order:{", "order:a=eq.b}"),
        "order:a=eq.\U00100000",
        {"entity": "order", "members": ["a}"]},
        "order:a=in.(" + ",".join(["{a}"] * 1001) + ")",
    ],
)
def test_claims_stand_for_a_whole_operand_or_id_only(written: Any) -> None:
    with pytest.raises(MalformedGrant, match=r"^must "):
        parse_template(written)


def test_a_grant_without_claims_is_the_same_for_every_token() -> None:
    written = {"entity": "order", "filters": ["b=eq.1,a=eq.7.0"], "members": ["id"]}
    grant = parse_template(written).filled({})
    assert [given.text for given in grant.filters] == ["a=eq.7", "b=eq.1"]
    assert grant.members == {"id"}
    assert parse_template("*").filled({}) == Grant("*")


def test_claims_fill_in_the_filters_of_an_object() -> None:
    grant = filled({"entity": "order", "filters": ["a=eq.{sub}", "b=in.{list},c=is.null"], "members": ["id"]})
    assert [given.path for given in grant.filters] == [("a",), ("b",), ("c",)]
    assert grant.filters[0].operands == ("u42",)


@pytest.mark.parametrize(
    "written", ["order:a=eq.{sub}", "order:{sub}", {"entity": "order", "filters": ["a=eq.{b}"]}, "{", ["}"]]
)
def test_where_no_token_is_claims_are_malformed(written: Any) -> None:
    with pytest.raises(MalformedGrant, match=r"rules only"):
        without_claims(written)
