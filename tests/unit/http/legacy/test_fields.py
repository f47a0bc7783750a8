"""gateway/http/legacy/fields.py: what stands beside what (test_legacy_answers.py has the rest)."""

from multidict import CIMultiDict

from gateway.http.legacy.fields import query_of, stream_link, with_upstreams
from gateway.http.terms import Terms


def test_of_each_name_the_gateways_own_counts_and_its_links_stand_first() -> None:
    own = CIMultiDict({"Fetch-Mode": "streaming", "Link": "<ours>"})
    upstreams = CIMultiDict([("fetch-mode", "x"), ("link", "<a>"), ("Link", "<b>"), ("Set-Cookie", "a=1")])
    upstreams.add("Set-Cookie", "b=2")

    fields = with_upstreams(own, upstreams)

    assert fields.getall("Fetch-Mode") == ["streaming"]
    assert fields.getall("Link") == ["<ours>", "<a>", "<b>"]
    assert fields.getall("Set-Cookie") == ["a=1", "b=2"]
    assert len(own) == 2


def test_without_a_cursor_the_stream_begins_where_it_is_opened() -> None:
    link = stream_link("or der", {}, None)
    assert link == '</api/v1/sync/events?entity=or%20der>; rel="alternate"; type="text/event-stream"'
    assert "&lastEventId=e.1-0.s&clientId=7>" in stream_link("order", {}, "e.1-0.s", "&clientId=7")


def test_a_caller_has_parameters_of_its_own_or_none() -> None:
    assert query_of(Terms("polling")) == ""
    assert query_of(Terms("polling", identity=(("clientId", "a b"), ("x", "ü")))) == "&clientId=a+b&x=%C3%BC"
