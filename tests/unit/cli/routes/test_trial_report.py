"""gateway/cli/routes/trial_report.py: what is said of answers, whoever gave them."""

from multidict import CIMultiDict, CIMultiDictProxy

from adapters.upstream.asking.fetch import Fetched
from adapters.upstream.reading.items import Items
from gateway.cli.routes.asking import Heard
from gateway.cli.routes.trial_report import report_on
from gateway.core.errors import UpstreamTimeout
from gateway.ports.legacy_route import LegacyRoute
from tests.support.legacy import legacy_route, listed, order


def heard(route: LegacyRoute, body: bytes, seconds: float = 0.1, **headers: str) -> Heard:
    items = Items(body, route)
    for _ in items.reading():
        pass
    return Heard(Fetched(CIMultiDictProxy(CIMultiDict(headers)), body), seconds, None, items)


def said_of(route: LegacyRoute, first: Heard, second: Heard | None = None) -> tuple[str, int]:
    lines, code = report_on(route, first, second)
    return "\n".join(" ".join(line.split()) for line in lines), code


def test_an_upstream_that_is_slower_than_it_is_asked_is_named() -> None:
    route = legacy_route(interval_seconds=2.0)
    said, code = said_of(route, heard(route, listed(order("A")), seconds=2.5))
    assert "The answer took longer than interval_seconds (2)" in said
    assert code == 0


def test_an_upstream_that_answers_once_and_not_again_is_named() -> None:
    route = legacy_route()
    silent = Heard(None, 10.0, UpstreamTimeout("The upstream did not answer within 10 s."))
    said, code = said_of(route, heard(route, listed(order("A"))), silent)
    assert "asked again The upstream did not answer within 10 s." in said
    assert "It answered once and not again" in said
    assert code == 0


def test_one_that_gives_no_answer_at_all_has_its_remedy_and_exit_code() -> None:
    silent = Heard(None, 10.0, UpstreamTimeout("The upstream did not answer within 10 s."))
    said, code = said_of(legacy_route(), silent)
    assert "problem The upstream did not answer within 10 s." in said
    assert "set timeout_seconds" in said
    assert "events" not in said
    assert code == 4


def test_keys_that_are_other_ones_each_time_are_named() -> None:
    route = legacy_route()
    first, second = (heard(route, listed(order(key), order(key + "x"))) for key in "AB")
    said, _ = said_of(route, first, second)
    assert "asked again 2 new; 2 gone, of 0 items in both" in said
    assert "does the key change from answer to answer?" in said


def test_what_an_upstream_says_steers_no_terminal() -> None:
    route = legacy_route()
    lines, _ = report_on(route, heard(route, listed(order("A\u202e")), Vary="A\x1b[31m"), None)
    assert all(line.isprintable() for line in lines)
