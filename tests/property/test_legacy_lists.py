"""The names of a route's lists: one for requests that ask an upstream for the same, in whatever spelling."""

from urllib.parse import parse_qsl, quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from gateway.ports.legacy_lists import ListName, list_named, raw_values, route_of, value_of, variant_of
from tests.support.legacy import legacy_route

ROUTE = legacy_route(vary_query=("status", "é"), ignore_query=("_",))
CUSTOMERS = legacy_route(path="/c/{customer}/orders", upstream="http://127.0.0.1:9000/{customer}")

_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_pairs = st.lists(st.tuples(st.sampled_from(["status", "é", "_"]), _texts), max_size=5)


@given(_pairs, st.randoms())
def test_whatever_the_order_and_the_spelling_what_is_asked_for_stays(pairs, random) -> None:
    query = "&".join(
        f"{quote_plus(name)}={quote(value, safe=random.choice(['', '/:@']))}" for name, value in pairs
    )
    variant = variant_of(ROUTE, query)
    if variant is None:
        assert len(query) > 1024
        return
    asked = [pair for pair in pairs if pair[0] != "_"]
    assert parse_qsl(variant, keep_blank_values=True) == sorted(asked, key=lambda pair: pair[0])
    assert variant_of(ROUTE, variant) == variant


@given(
    st.text(max_size=60)
    | st.from_regex(r"([a-z_]{0,6}=?(%[0-9A-Fa-f]{0,2}|[ -~]){0,5}&?){0,4}", fullmatch=True)
)
def test_any_query_names_a_list_in_printable_text_or_none(query: str) -> None:
    variant = variant_of(ROUTE, query)
    if variant is not None:
        assert variant_of(ROUTE, variant) == variant
        assert route_of(ROUTE, ListName((), variant)).name.isascii()
        assert variant.isprintable()


@given(st.text(max_size=40) | st.from_regex(r"(%[0-9A-Fa-f]{0,2}|[!-~]){0,8}", fullmatch=True))
def test_any_step_of_a_path_is_one_step_of_the_upstreams_or_none(raw: str) -> None:
    raw = raw.replace("/", "")
    name = list_named(CUSTOMERS, f"/c/{raw}/orders", "")
    assert raw_values(CUSTOMERS, f"/c/{raw}/orders") == (raw,)
    if name is None:
        return
    of = route_of(CUSTOMERS, name)
    written = of.path.split("/")[2]
    assert of.upstream == f"http://127.0.0.1:9000/{written}"
    assert value_of(written) == of.members["customer"] == name.values[0]
    assert of.url.raw_path == f"/{written}"
