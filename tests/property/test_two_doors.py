"""Whatever comes to it, the front door says what aiohttp's way says (gateway/http/front_door.py)."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tokens import mint
from tests.support.two_doors import COMPONENTS, COOKIE, EPOCH, MODIFIED, NOW, ORIGIN, two_doors

STREAM = "/api/v1/sync/events"
ANA = mint("ana", subscribe=["*"], now=NOW)
BEN = mint("ben", subscribe=["order"], now=NOW)
TOKENS = (
    ANA,
    BEN,
    mint("none", now=NOW),
    mint("late", subscribe=["*"], now=NOW - 1000, lifetime=10),
    mint("forged", subscribe=["*"], now=NOW, secret="another secret, as long as it should be"),
    "nonsense",
    "tgk_nonsense",
    "a%20b",
    "",
)
"""Good ones first, so that hypothesis tries them first."""
CURSORS = (
    f"{EPOCH}.1732125600123-3",
    f"{EPOCH}.1732125600123-4",
    f"{EPOCH}.1732125600123-0",
    f"{EPOCH}.9999999999999-0",
    "otherepoch.1732125600123-3",
    "nonsense",
    "x" * 600,
    "",
)
PARAMETERS = {
    "component": (*COMPONENTS, "live,half", "unknown", ""),
    "entity": ("order", "order:ORDER-001", "live-entity", "nobody-s", "a\tb", ""),
    "filter": ("n=gt.1", "n=eq.1", "n", "shop=eq.%22a%22"),
    "eventTypes": ("stage_change", "a,b", ""),
    "orderID": ("ORDER-001", "7"),
    "hints": ("off", "with", "only", "maybe"),
    "state": ("with", "off", "maybe"),
    "format": ("named", "message", "x"),
    "debounceMs": ("0", "100", "-1", "1e3"),
    "presence": ("portal", "", "a b"),
    "channel": ("portal",),
    "capable": ("true", "false", "1"),
    "clientId": ("ann", "ben", "c" * 300, "a%20b", "é"),
    "clientVersion": ("1.0", "shop/2"),
    "lastEventId": CURSORS,
    "last_event_id": CURSORS,
    "cursor": CURSORS,
    "access_token": TOKENS,
    "unknown": ("1", ""),
}
FIELDS = {
    "Accept": ("*/*", "text/event-stream", "text/html", "application/json;q=0.5, */*;q=0", ""),
    "Accept-Encoding": ("gzip", "gzip, br", "identity", "gzip;q=0", "*", "br", ""),
    "Accept-Language": ("de", "en, de;q=0.5"),
    "Authorization": (*(f"Bearer {token}" for token in TOKENS), f"bearer   {ANA}", "Basic YTpi", "Bearer"),
    "Cookie": (
        f"{COOKIE}={ANA}",
        f"{COOKIE}={BEN}; tidegate_session=mine",
        "tidegate_session=mine",
        'tidegate_session="mine"; tidegate_session=other',
        f"{COOKIE}=; a=b",
        "tidegate_session=é",
        ";;=",
    ),
    "Cache-Control": ("no-cache", "only-if-cached"),
    "Connection": ("keep-alive", "close", "Keep-Alive, close", "upgrade", "x"),
    "Content-Length": ("0", "00", "3", "-1", "x", "1, 1"),
    "Content-Type": ("application/json",),
    "Expect": ("100-continue", "", "much"),
    "Forwarded": ("for=192.0.2.1;proto=https", "for=unknown", ";;"),
    "If-Match": ("*",),
    "If-Modified-Since": (
        MODIFIED,
        "Thu, 21 Nov 2024 10:00:01 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "never",
    ),
    "If-None-Match": (
        *(f'"{name}-1"' for name in ("live", "half", "vary", "coded", "shops")),
        '"coded-gz"',
        'W/"live-1"',
        '"other", "live-1"',
        "*",
        " * ",
        "live-1",
        '"live-1',
        ",",
    ),
    "Last-Event-ID": CURSORS,
    "Origin": (ORIGIN, "https://evil.example", "null", "http://localhost"),
    "Prefer": ("wait=1",),
    "Range": ("bytes=0-1",),
    "Sec-Fetch-Site": ("cross-site", "same-origin"),
    "Tidegate-Client": ("shop/2.1.0", "shop", "é"),
    "Tidegate-Client-Id": ("ann", "é", "c" * 300),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", ""),
    "Upgrade": ("websocket", "h2c"),
    "User-Agent": ("Mozilla/5.0", ""),
    "X-Forwarded-For": ("192.0.2.1", "x, 127.0.0.1"),
    "X-Forwarded-Proto": ("https", "http"),
    "X-Tenant": ("a",),
}
HOSTS = ("localhost", "shop.example", "127.0.0.1:80", "[::1]", "LOCALHOST.", "evil.example", "a b", "")
PATHS = (
    *(f"/legacy/{name}" for name in (*COMPONENTS, "coded", "vary", "plain", "long", "missing", "own")),
    "/legacy/shops/s1/orders",
    "/legacy/shops/%E9/orders",
    "/legacy/live/",
    "/legacy/live/1",
    "/legacy//live",
    "/legacy/%6cive",
    "/legacy/live;a=b",
    STREAM + "/",
    "/api/v1/sync/%65vents",
    "//api/v1/sync/events",
    "/api/../legacy/live",
    "/healthz",
    "/api/v1/sync/poll",
    "/api/v1/sync/history",
    "/nowhere",
    "/",
)


@st.composite
def names(draw, given):
    """A name in whatever case."""
    return draw(st.sampled_from([given, given, given, given.lower(), given.upper(), given.swapcase()]))


@st.composite
def parameters(draw):
    name = draw(st.sampled_from(sorted(PARAMETERS)))
    value = draw(st.sampled_from(PARAMETERS[name]) | st.text("a&=%+é;#?/\\", max_size=3))
    spelling = draw(st.sampled_from([str, str, str, _one_encoded, _all_encoded, str.upper]))
    return spelling(name) + draw(st.sampled_from(["=", "=", "=", "=", "", "%3D"])) + value


def _one_encoded(text):
    return f"%{ord(text[0]):02x}{text[1:]}"


def _all_encoded(text):
    return "".join(f"%{ord(character):02X}" for character in text)


@st.composite
def targets(draw):
    path = draw(st.just(STREAM) | st.sampled_from(PATHS))
    query = draw(st.lists(parameters(), max_size=4))
    joined = draw(st.sampled_from(["&", "&", "&", "&&", ";"])).join(query)
    before = draw(
        st.sampled_from([""] * 12 + ["http://localhost", "http://evil.example", "https://shop.example:1"])
    )
    after = draw(st.sampled_from([""] * 12 + ["#", "#?a=b", "?", "?#", "%", "\\"]))
    return f"{before}{path}?{joined}{after}" if query else f"{before}{path}{after}"


@st.composite
def fields(draw):
    name = draw(st.sampled_from(sorted(FIELDS)))
    value = draw(st.sampled_from(FIELDS[name]))
    return _field(draw, name, value)


def _field(draw, name, value):
    colon = draw(st.sampled_from([": "] * 8 + [":", ":  ", ":\t", " : ", ": \t"]))
    end = draw(st.sampled_from([""] * 8 + [" ", "\t "]))
    return f"{draw(names(name))}{colon}{value}{end}"


@st.composite
def heads(draw):
    """A head that any client might send, if perhaps not a wise one."""
    method = draw(st.sampled_from(["GET"] * 16 + ["HEAD", "POST", "PUT", "OPTIONS", "DELETE", "get", "PRI"]))
    version = draw(
        st.sampled_from(["HTTP/1.1"] * 16 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1"])
    )
    hosts = draw(
        st.sampled_from([["localhost"]] * 12 + [[], ["localhost", "localhost"]])
        | st.lists(st.sampled_from(HOSTS), min_size=1, max_size=1)
    )
    lines = draw(st.lists(fields(), max_size=5)) + [_field(draw, "Host", host) for host in hosts]
    return [f"{method} {draw(targets())} {version}", *draw(st.permutations(lines))]


def whole(lines, body=b""):
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


USUAL_PARAMETERS = {
    "component": ("live", "half", "off", "ramp", "done", "free"),
    "entity": ("order", "order:ORDER-001", "live-entity"),
    "filter": ("n=gt.1",),
    "hints": ("with", "only"),
    "state": ("with",),
    "format": ("message",),
    "presence": ("portal",),
    "capable": ("false",),
    "clientVersion": ("1.0",),
    "lastEventId": CURSORS[:6],
    "access_token": (ANA, BEN),
}
USUAL_FIELDS = {
    "Accept": ("*/*", "text/event-stream"),
    "Accept-Encoding": ("gzip", "identity", "gzip, br"),
    "Accept-Language": ("de",),
    "Cookie": ("tidegate_session=mine", f"{COOKIE}={BEN}"),
    "If-Modified-Since": (MODIFIED,),
    "If-None-Match": ('"live-1"', '"half-1"', '"coded-1"', '"coded-gz"', 'W/"live-1"', '"a", "ramp-1"', "*"),
    "Origin": (ORIGIN, "https://evil.example"),
    "Sec-Fetch-Site": ("cross-site",),
    "Tidegate-Client": ("shop/2.1.0",),
    "User-Agent": ("Mozilla/5.0",),
    "X-Forwarded-For": ("192.0.2.1",),
    "X-Forwarded-Proto": ("https",),
}
LISTS = (*COMPONENTS, "coded", "vary", "plain", "long", "missing", "own", "shops/s1/orders")


@st.composite
def usual_heads(draw):
    """Makes the head of what browsers and pollers ask for, with the words of one caller in their places."""
    names = draw(st.lists(st.sampled_from(sorted(USUAL_PARAMETERS)), max_size=3))
    pairs = [f"{name}={draw(st.sampled_from(USUAL_PARAMETERS[name]))}" for name in names]
    named = draw(st.sampled_from(["", "clientId={client}"]))
    query = "&".join(filter(None, draw(st.permutations([*pairs, named]))))
    path = draw(st.sampled_from([STREAM] * len(LISTS) + [f"/legacy/{name}" for name in LISTS]))
    names = draw(st.lists(st.sampled_from(sorted(USUAL_FIELDS)), max_size=4, unique=True))
    lines = [f"{name}: {draw(st.sampled_from(USUAL_FIELDS[name]))}" for name in names]
    lines += draw(st.sampled_from([[], [], ["Last-Event-ID: {cursor}"]]))
    lines += draw(st.sampled_from([[], ["Authorization: Bearer {token}"]]))
    lines = draw(st.permutations(["Host: localhost", *lines]))
    form = "\r\n".join([f"GET {path}?{query} HTTP/1.1" if query else f"GET {path} HTTP/1.1", *lines, "", ""])
    return lambda words: form.format(**words).encode("utf-8", "surrogateescape")


@st.composite
def words(draw):
    """What one caller says in the places of its own, or what may stand there for somebody else's."""
    odd = st.sampled_from(["\0", "*", "{}", " "])
    return {
        "client": draw(st.sampled_from(["ann", "ben"]) | st.sampled_from(PARAMETERS["clientId"]) | odd),
        "cursor": draw(st.sampled_from(CURSORS) | odd),
        "token": draw(st.sampled_from([ANA, BEN]) | st.sampled_from(TOKENS) | odd),
    }


@pytest.fixture(scope="module", params=[False, True], ids=["open", "with-tokens"])
def doors(request, tmp_path_factory):
    with two_doors(tmp_path_factory.mktemp("doors"), with_tokens=request.param) as doors:
        yield doors


def assert_same(doors, *pieces):
    front, behind = doors.say(*pieces)
    assert front == behind


@given(usual_heads(), words(), words())
def test_those_who_ask_alike_each_get_what_is_theirs(doors, head, one, other):
    for own in (one, one, other, one):
        assert_same(doors, head(own))


# What is remembered of a request may be so from its second time on.
@given(heads())
@settings(max_examples=settings.default.max_examples // 2)
def test_a_head_is_answered_alike_each_time_that_it_comes(doors, lines):
    for _ in range(3):
        assert_same(doors, whole(lines))


BROKEN = (
    *(b"\0", b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b"\t", b" ", b":"),
    *(b"\xff", b"\x7f", b"%", b"#", b"?", b" HTTP/1.1", b"x" * 17_000),
    *(b"\r\n: a", b"\r\nX", b"\r\nX : a", b"\r\nX: a\r\n b", b"\r\nX: " + b"x" * 33_000, b"\r\nX: a" * 300),
    *(b"\r\nContent-Length: 4", b"\r\nTransfer-Encoding: chunked", b"\r\nExpect: 100-continue"),
    *(b"\r\nHost: evil.example", b"\r\nHost: localhost", b"\r\nConnection: close"),
    b"\r\nConnection: upgrade\r\nUpgrade: websocket",
    b"\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ",
    b"\r\n\r\nGET /legacy/live HTTP/1.1\r\nHost: localhost",
)


@st.composite
def broken(draw, head):
    """The bytes of a head to which something has happened somewhere, mostly where a line begins or ends."""
    data = head
    for _ in range(draw(st.integers(1, 2))):
        borders = [at for at in range(len(data)) if data[at : at + 1] in (b"\r", b" ", b":", b"?", b"=")]
        at = draw(st.sampled_from([*borders, 0, len(data)]) | st.integers(0, len(data)))
        change = draw(st.sampled_from(["insert", "insert", "insert", "cut", "end", "bare"]))
        if change == "insert":
            data = data[:at] + draw(st.sampled_from(BROKEN) | st.binary(max_size=3)) + data[at:]
        elif change == "cut":
            data = data[:at] + data[at + draw(st.integers(1, 4)) :]
        elif change == "end":
            data = data[:at]
        else:
            data = data.replace(b"\r\n", b"\n", draw(st.integers(-1, 2)))
    return data


@given(st.data(), usual_heads(), words())
def test_what_is_broken_is_refused_alike_also_where_the_whole_one_is_known(doors, data, head, own):
    assert_same(doors, head(own))
    assert_same(doors, data.draw(broken(head(own))))
    assert_same(doors, head(own))


@st.composite
def requests(draw):
    """A request of some kind that is whole, as far as it goes."""
    head = draw(usual_heads())(draw(words()))
    body = b'{"eventType":"no event without its data"}'
    posted = draw(st.sampled_from([b"POST " + STREAM.encode(), b"POST /legacy/live", b"PUT /legacy/own"]))
    host = b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + ANA.encode()
    post = posted + host + b"\r\nContent-Type: application/json\r\n"
    return draw(
        st.just(head)
        | st.sampled_from(
            [
                post + b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
                post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
                # A body that looks like a request of its own.
                post + b"Content-Length: %d\r\n\r\n%b" % (len(head), head),
                post + b"Content-Length: %d\r\n\r\n%b" % (len(head) + 4, b"\r\n\r\n" + head),
                post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(head), head),
                b"GET /legacy/live HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\r\n",
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"CONNECT /legacy/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET /legacy/live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                b"\r\n\r\n",
            ]
        )
    )


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_requests_on_one_connection_are_told_apart_wherever_they_are_split(doors, given, data):
    said = b"".join(given)
    ends = [sum(map(len, given[:count])) for count in range(1, len(given))]
    heads = [at + 4 for at in range(len(said)) if said.startswith(b"\r\n\r\n", at)]
    borders = st.sampled_from(ends or heads or [0]) | st.sampled_from(heads or [0])
    cuts = data.draw(
        st.lists(borders | borders.map(lambda at: at - 1) | st.integers(0, len(said)), max_size=4)
    )
    places = sorted({0, *(min(max(cut, 0), len(said)) for cut in cuts), len(said)})
    assert_same(doors, *(said[start:end] for start, end in pairwise(places)))
