"""Whatever an upstream names as an address, no request leads away from it."""

from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from adapters.upstream.asking.addresses import same_origin, upstream_address
from adapters.upstream.asking.links import next_link
from tests.support.legacy import legacy_route

BASE = URL("http://backend.test:9000/orders?page=1")
ROUTE = legacy_route(upstream=str(BASE), public_url="https://api.test")

PIECES = st.sampled_from(
    [
        *("http:", "https:", "//", "/", "backend.test", ":9000", "api.test", "evil.test", "user:password@"),
        *("?", "#", "..", "%2F", "%", "\\", "[", "::1", "]", " ", "\t", "\n", "\x00", "ä", "x", "@", ";"),
    ]
)
ADDRESSES = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20)


@given(ADDRESSES)
@example("//backend.test:9000@evil.test/")
@example("http:\\\\evil.test/")
@example("\ud800")
def test_an_address_that_is_taken_is_of_the_same_origin(given: str) -> None:
    for url in (same_origin(BASE, given), upstream_address(ROUTE, BASE, given)):
        if url is not None:
            assert (url.scheme, url.raw_host, url.port) == ("http", "backend.test", 9000)
            assert (url.raw_user, url.raw_password, url.raw_fragment) == (None, None, "")
            # What goes on the wire is one target, and nothing that would end it.
            assert url.raw_path_qs.isascii()
            assert url.raw_path_qs.isprintable()
            assert " " not in url.raw_path_qs


@given(ADDRESSES.filter(lambda text: ">" not in text))
def test_a_link_names_what_stands_in_it(target: str) -> None:
    assert next_link([f'<z>; rel=prev, <{target}>; title="a, <b>"; rel="next"']) == target


@given(st.text(alphabet='<>;,="\\ relnxt', max_size=30))
def test_any_field_can_be_read(field: str) -> None:
    found = next_link([field])

    assert found is None or f"<{found}>" in field
