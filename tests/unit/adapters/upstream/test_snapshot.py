"""What an upstream's answer becomes for callers, and for the next request."""

import hashlib
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.snapshot import Moment, digest_of, distrusted, snapshot_of, validators_of
from gateway.ports.legacy_route import Functions, LegacyRoute, Pages
from gateway.ports.upstreams import Snapshot
from tests.support.legacy import legacy_route, listed, order

RECEIVED = datetime(2026, 11, 20, 10, 30, 5, tzinfo=UTC)
FIVE_PAST = "Fri, 20 Nov 2026 10:30:05 GMT"
FOUR_PAST = "Fri, 20 Nov 2026 10:30:04 GMT"


def test_the_next_request_repeats_the_upstreams_tag_also_a_weak_one() -> None:
    assert validators_of({"ETag": 'W/"v1"'}, RECEIVED) == {"If-None-Match": 'W/"v1"'}


@pytest.mark.parametrize(
    ("modified", "date", "asked"),
    [
        (FOUR_PAST, FIVE_PAST, True),
        (FIVE_PAST, FIVE_PAST, False),
        (FOUR_PAST, None, True),
        (FIVE_PAST, None, False),
        ("yesterday", FIVE_PAST, False),
        (FOUR_PAST, "now", True),
    ],
)
def test_if_modified_since_is_sent_only_when_a_second_has_passed(
    modified: str, date: str | None, asked: bool
) -> None:
    headers = CIMultiDict({"Last-Modified": modified} | ({"Date": date} if date else {}))

    assert validators_of(headers, RECEIVED) == ({"If-Modified-Since": modified} if asked else {})


LIST = listed(order("A"))
ROUTE = legacy_route()
MOMENT = Moment(1.0, 2.0, round(RECEIVED.timestamp() * 1000), "e.1-0")


def made(fetched: Fetched, *, is_trusted: bool = True, route: LegacyRoute = ROUTE) -> Snapshot:
    return snapshot_of(fetched, digest_of(fetched, route), route, MOMENT, is_trusted=is_trusted)[0]


def fetched(coded: bytes | None = None, coding: str = "gzip", **headers: str) -> Fetched:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = CIMultiDictProxy(CIMultiDict(named))
    return Fetched(fields, LIST, coded, coding if coded is not None else "")


def test_a_digest_of_one_body_is_that_of_its_bytes_as_ever() -> None:
    assert digest_of(fetched(), ROUTE) == hashlib.blake2b(LIST, digest_size=16).hexdigest()


def test_a_digest_stands_for_status_all_bodies_and_what_is_made_of_them() -> None:
    one = fetched()
    answers = [
        one,
        one._replace(status=404),
        one._replace(more=(b"",)),
        one._replace(more=(LIST,)),
        one._replace(more=(LIST, b"")),
        one._replace(body=LIST + LIST[:1], more=(LIST[1:],)),
    ]
    routes = [
        ROUTE,
        *(legacy_route(functions=Functions(**names)) for names in ({"map": "a:b"}, {"decode": "a:b"})),
    ]
    digests = [digest_of(answer, route) for answer in answers for route in routes]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("tag", ['"v1"', 'W/"v1"', "", "v1"])
@pytest.mark.parametrize("coded", [None, b"packed"])
def test_the_upstreams_strong_tag_is_of_the_bytes_that_came(
    coded: bytes | None, tag: str, *, trusted: bool
) -> None:
    snapshot = made(fetched(coded, ETag=tag), is_trusted=trusted)

    own = f'"{snapshot.digest}"'
    counts = trusted and tag == '"v1"'
    if coded is None:
        assert (snapshot.etag, snapshot.coded_etag) == (tag if counts else own, "")
    else:
        packed = f'"{snapshot.digest}-gzip"'
        assert (snapshot.etag, snapshot.coded_etag) == (own, tag if counts else packed)


def test_a_coding_has_one_name() -> None:
    assert made(fetched(b"packed", "x-gzip")).coding == "gzip"


def test_fields_about_bytes_are_shared_where_those_are_the_bytes() -> None:
    headers = {"Content_Digest": "sha-256=:a:", "Content_MD5": "b", "Content_Encoding": "gzip", "X_One": "1"}

    assert set(made(fetched(**headers)).headers) == {"Content-Digest", "Content-MD5", "X-One"}
    assert set(made(fetched(b"packed", **headers)).headers) == {"X-One"}


def test_when_it_was_changed_is_known_and_not_shared() -> None:
    snapshot = made(fetched(Last_Modified=FOUR_PAST))
    assert (snapshot.last_modified, "Last-Modified" in snapshot.headers) == (FOUR_PAST, False)
    assert made(fetched(Last_Modified="a\x01")).last_modified is made(fetched()).last_modified is None


@pytest.mark.parametrize("route", [legacy_route(pages=Pages("/next")), legacy_route(also=("/closed",))])
def test_the_first_of_several_answers_says_nothing_of_the_others(route: LegacyRoute) -> None:
    assert made(fetched(ETag='"v1"', Last_Modified=FOUR_PAST), route=route).validators == {}


def test_tags_that_are_no_longer_trusted_are_the_gateways_own() -> None:
    snapshot = made(fetched(b"packed", ETag='"v1"', Last_Modified=FOUR_PAST))
    without = distrusted(snapshot)

    assert (without.etags_trusted, without.coded_etag) == (False, f'"{snapshot.digest}-gzip"')
    assert without.validators == {"If-Modified-Since": FOUR_PAST}
    assert distrusted(made(fetched(ETag='"v1"'))).etag == f'"{snapshot.digest}"'
