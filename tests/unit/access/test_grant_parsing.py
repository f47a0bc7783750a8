"""gateway/access/grant_parsing.py: grants as tokens and configurations write them."""

from typing import Any

import pytest

from gateway.access.grant_parsing import MalformedGrant, parse_grant, written_grant
from gateway.core.filters import parse_filters
from gateway.core.grants import Grant, Scope


def texts(grant: Grant) -> tuple[str, ...]:
    return tuple(given.text for given in grant.filters)


@pytest.mark.parametrize("entity", ["order", "a.b-c_D9", "*", "global", "x" * 64])
def test_a_name_alone_grants_all_of_it(entity: str) -> None:
    assert parse_grant(entity) == Grant(entity)
    assert parse_grant({"entity": entity}) == Grant(entity)


@pytest.mark.parametrize(
    ("written", "entity_id"),
    [
        ("order:ORDER-1", "ORDER-1"),
        ("order:7", "7"),
        ("order:a:b", "a:b"),
        ('order:"a,b"', "a,b"),
        (r'order:"a\"b\\"', 'a"b\\'),
        ('order:"customer_id=eq.7"', "customer_id=eq.7"),
        ("order:*", "*"),
        ("order:é ü", "é ü"),
        ("order:YWJj=", "YWJj="),
        ("order:a=7", "a=7"),
        ("order:{sub}", "{sub}"),
        ("order:" + "x" * 256, "x" * 256),
    ],
)
def test_what_follows_the_type_is_an_id(written: str, entity_id: str) -> None:
    assert parse_grant(written) == Grant("order", entity_id)


@pytest.mark.parametrize(
    ("written", "filters"),
    [
        ("invoice:customer_id=eq.7", ("customer_id=eq.7",)),
        ("invoice:customer_id=eq.7.0", ("customer_id=eq.7",)),
        ("invoice:customer_id=eq.a", ('customer_id=eq."a"',)),
        ('invoice:customer_id=eq."7"', ('customer_id=eq."7"',)),
        ("invoice:b=in.(2,1,2)", ("b=in.(1,2)",)),
        ("invoice:b=eq.1,a.c=is.null", ("a.c=is.null", "b=eq.1")),
        ("invoice:b=eq.1,b=eq.1", ("b=eq.1",)),
        ("invoice:b=eq.{sub}", ('b=eq."{sub}"',)),
        ({"entity": "invoice", "filters": ["b=eq.1", "a=lt.2"]}, ("a=lt.2", "b=eq.1")),
        ({"entity": "invoice", "filters": ["b=eq.1,a=lt.2"]}, ("a=lt.2", "b=eq.1")),
        ({"entity": "*", "filters": ["tenant=eq.7"]}, ("tenant=eq.7",)),
        ({"entity": "global", "filters": []}, ()),
    ],
)
def test_filters_stand_in_the_one_text_of_their_meaning(written: Any, filters: tuple[str, ...]) -> None:
    assert texts(parse_grant(written)) == filters


def test_an_object_says_which_members_are_shown() -> None:
    grant = parse_grant({"entity": "order", "filters": ["a=eq.1"], "members": ["id", "total", "id"]})
    assert grant.members == {"id", "total"}
    assert parse_grant({"entity": "order", "members": []}).members == frozenset()
    assert parse_grant({"entity": "order"}).members is None


def test_grants_that_mean_the_same_are_one_scope() -> None:
    one = ["order:a=eq.7,b=eq.x", {"entity": "job", "members": ["b", "a"]}, "menu"]
    other = ["menu", {"members": ["a", "b"], "entity": "job"}, 'order:b=in.("x"),a=eq.7e0', "menu"]
    assert Scope.of(map(parse_grant, one)) == Scope.of(map(parse_grant, other))
    assert Scope.of(map(parse_grant, one)) != Scope.of(map(parse_grant, [*one, "order:a=eq.7"]))


@pytest.mark.parametrize(
    "written",
    [
        *(None, True, 7, ["order"], "", ":", "order:", 'order:""', "or der", "order ", "x" * 65, "order,job"),
        *("*:ORDER-1", "*:a=eq.7", "global:ORDER-1", "global:a=eq.7", "**", ":a", "é"),
        *("order:a,b", 'order:"a', 'order:"a"b', "order:\n", "order:a\x85b", "order:\ud800", "ord\ud800er"),
        *("order:" + "x" * 257, "order:customer_id=like.a", "order:customer_id=EQ.7", "order:=eq.7"),
        *("order:a=eq.7,", "order:a=eq.7,b", "order:a=in.()", "order:a=in.7", "order:a=gt.null"),
        *("order:a..b=eq.7", 'order:a=eq."b', "order:a=eq.7\n", "order:a=eq.\ud800"),
        *({}, {"entity": None}, {"entity": "order:7"}, {"entity": ["order"]}, {"entity": ""}),
        *({"filters": ["a=eq.7"]}, {"entity": "order", "filter": ["a=eq.7"]}),
        *({"entity": "order", "id": "7"}, {"entity": "order", "filters": "a=eq.7"}),
        *({"entity": "order", "filters": None}, {"entity": "order", "filters": [7]}),
        *({"entity": "order", "filters": [""]}, {"entity": "order", "filters": ["ORDER-1"]}),
        *({"entity": "order", "members": None}, {"entity": "order", "members": "id"}),
        *({"entity": "order", "members": {"id": True}}, {"entity": "order", "members": ["id", 7]}),
        *({"entity": "order", "members": [""]}, {"entity": "order", "members": ["\ud800"]}),
        {"entity": "order", "filters": [f"a{n}=eq.7" for n in range(33)]},
        {"entity": "order", "members": [f"a{n}" for n in range(1001)]},
        f"order:a=in.({','.join('7' * 1001)})",
    ],
)
def test_whatever_else_is_malformed(written: Any) -> None:
    with pytest.raises(MalformedGrant, match=r"^must "):
        parse_grant(written)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("order", "order"),
        ("order:A-1", 'order:"A-1"'),
        ("order:b=eq.1,a=eq.x", 'order:a=eq."x",b=eq.1'),
        ({"entity": "order", "filters": ["a=eq.1"], "members": ["c", "b"]}, "order:a=eq.1 (members b, c)"),
        ({"entity": "order", "members": []}, "order (members none)"),
    ],
)
def test_a_grant_is_written_for_people(given: Any, written: str) -> None:
    assert written_grant(parse_grant(given)) == written


def test_a_filter_of_a_grant_matches_what_a_request_s_does() -> None:
    (asked,) = parse_filters("customer_id=in.(7,a)")
    (granted,) = parse_grant("invoice:customer_id=in.(a,7.0)").filters
    for value in (7, 7.0, "a", "7", True, None, [7]):
        assert asked.matches({"customer_id": value}) is granted.matches({"customer_id": value})
