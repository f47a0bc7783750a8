"""gateway/http/alike.py: which words are cut out of a request's head, and what is left to know it by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.alike import CUT, apart

EVENTS = b"GET /api/v1/sync/events?entity=order&clientId=%b HTTP/1.1\r\nHost: a\r\n%b\r\n"
ATTEMPT = b"GET /api/v1/sync/events?attempt=%b&entity=order HTTP/1.1\r\nHost: a\r\n\r\n"
CURSOR = b"Last-Event-ID: %b\r\n"
TOKEN = b"Authorization: Bearer %b\r\n"


def test_those_who_ask_alike_are_known_by_the_same_and_keep_their_own_words() -> None:
    ann, of_ann = apart(EVENTS % (b"ann", CURSOR % b"epoch.1-0" + TOKEN % b"abc.def_1=="))
    ben, of_ben = apart(EVENTS % (b"ben", CURSOR % b"epoch.2-0" + TOKEN % b"ghi"))
    assert ann == ben == EVENTS % (CUT, CURSOR % CUT + TOKEN % CUT)
    assert of_ann == ("ann", "epoch.1-0", "abc.def_1==", None)
    assert of_ben == ("ben", "epoch.2-0", "ghi", None)


def test_an_attempt_is_an_opening_s_own_word_beside_its_client_s() -> None:
    known, words = apart(ATTEMPT.replace(b"entity=order", b"clientId=ann") % b"a_1-Z")
    assert known == ATTEMPT.replace(b"entity=order", b"clientId=%b") % (CUT, CUT)
    assert words == ("ann", None, None, "a_1-Z")


@pytest.mark.parametrize(
    "head",
    [
        EVENTS % (b"a%20b", b""),
        EVENTS % (b"a+b", b""),
        EVENTS % (b"", b""),
        EVENTS % (b"a#b", b""),
        ATTEMPT % b"",
        ATTEMPT % b"a.b",
        ATTEMPT % b"a%2d",
        ATTEMPT % (b"a" * 65),
        ATTEMPT.replace(b"attempt", b"xattempt") % b"a",
        b"GET /api/v1/sync/poll?attempt=a HTTP/1.1\r\nHost: a\r\n\r\n",
        EVENTS % (b"c" * 200, b""),
        EVENTS.replace(b"&clientId", b"&xclientId") % (b"ann", b""),
        EVENTS.replace(b"clientId", b"CLIENTID") % (b"ann", b""),
        b"GET /api/v1/orders?clientId=ann HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/v1/sync/events HTTP/1.1\r\nReferer: /?clientId=ann\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nauthorization: bearer abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: a, b\r\n\r\n",
    ],
)
def test_what_is_no_plain_word_in_its_place_is_not_cut(head: bytes) -> None:
    assert apart(head) == (head, (None, None, None, None))


@given(
    st.lists(
        st.sampled_from([EVENTS, ATTEMPT, CURSOR, TOKEN, b"\r\n", b"%b", b"&clientId=%b ", b"&attempt=%b "]),
        max_size=5,
    ),
    st.data(),
)
def test_the_words_in_the_places_of_the_cuts_make_the_head_again(
    parts: list[bytes], data: st.DataObject
) -> None:
    words = st.sampled_from([b"ann", b"a.b", b"=", b"\r\n", b" ", b"&", b""])
    head = b"".join(part % tuple(data.draw(words) for _ in range(part.count(b"%b"))) for part in parts)
    known, own = apart(head)
    cut = [word.encode() for word in own if word is not None]
    assert known.count(CUT) == len(cut)
    assert len(known) == len(head) - sum(map(len, cut)) + len(cut)
    for word in cut:
        assert word in head
