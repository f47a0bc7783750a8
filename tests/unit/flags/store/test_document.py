"""The flags file's text: written and read back, and refused with the place that is wrong."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from flags.errors import StoreUnreadable
from flags.store.document import parse, render
from flags.store.ledger import Ledger, changed, rolled_back, switched
from flags.store.revisions import attribution
from tests.support.flags import LATCH, NOW, make_flag, rule

ANN = attribution("ann", "Größer, 🛒", NOW)
ENTRY: dict[str, Any] = {
    "revision": 1,
    "who": "ann",
    "when": NOW,
    "why": "because",
    "before": None,
    "after": {"stage": "off"},
}


def sample() -> Ledger:
    """A ledger with some of everything."""
    fields = {"stage": "live", "percentage": 5, "targeting": [rule("user", "in", ["a"], "polling")]}
    ledger = changed(Ledger(), "orders", fields, expected_revision=0, whole=True, by=ANN)
    ledger = changed(
        ledger, "orders", {"percentage": 0.5, "latch": LATCH}, expected_revision=1, whole=False, by=ANN
    )
    ledger = rolled_back(ledger, "orders", to_revision=1, expected_revision=None, by=ANN)
    ledger = changed(ledger, "invoices", {}, expected_revision=0, whole=True, by=ANN)
    return switched(ledger, True, by=ANN)


def trimmed() -> Ledger:
    """The sample, whose histories have dropped their oldest revision."""
    ledger = switched(sample(), False, by=ANN)
    return replace(
        ledger,
        histories=MappingProxyType(
            {name: history.without(history.last - 1) for name, history in ledger.histories.items()}
        ),
        kill_all_history=ledger.kill_all_history.without(1),
    )


EARLIER = {"state": {"stage": "off"}, "stageSince": NOW}


def document(**members: Any) -> bytes:
    return orjson.dumps({"version": 1, "flags": {}} | members)


def refusal(raw: bytes) -> StoreUnreadable:
    with pytest.raises(StoreUnreadable) as caught:
        parse(raw)
    return caught.value


def test_a_ledger_comes_back_as_it_was_written() -> None:
    assert parse(render(sample())) == sample()
    assert parse(render(Ledger())) == Ledger()
    assert parse(render(trimmed())) == trimmed()


def test_only_a_file_that_lacks_revisions_is_of_a_version_that_older_programs_leave_alone() -> None:
    assert orjson.loads(render(sample()))["version"] == 1
    assert orjson.loads(render(trimmed()))["version"] == 2


def test_the_file_is_text_for_people() -> None:
    text = render(sample()).decode()

    assert text.startswith('{\n  "version": 1,\n  "killAll": true,\n  "flags": {\n    "invoices": {\n')
    assert "Größer, 🛒" in text
    assert text.endswith("}\n")


def test_a_file_may_say_only_what_matters() -> None:
    ledger = parse(document(flags={"orders": {"stage": "live", "percentage": 25}}))

    assert ledger.flags == {"orders": make_flag(stage="live", percentage=25)}
    assert not ledger.kill_all


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "no JSON"),
        (b"\x00" * 4096, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (render(sample())[:-40], "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (document(flags={"orders": {"percentage": 7}}).replace(b"7", b"NaN"), "no JSON"),
        (document(flags={"orders": {"percentage": 7}}).replace(b"7", b"-Infinity"), "no JSON"),
        (document(flags={"orders": {"percentage": 7}}).replace(b"7", b"1e999"), "no JSON"),
        (document(flags={"orders": {"group": "x"}}).replace(b'"x"', b'"a\nb"'), "no JSON"),
        (document().decode().encode("utf-16"), "no JSON"),
        (document(flags={"orders": {"group": "x"}}).replace(b'"x"', rb'"\ud800"'), "no JSON"),
        (
            document(flags={"orders": {"checkRatio": 7}}).replace(b"7", b"9" * 30),
            "no JSON that could be kept",
        ),
        (document().replace(b'"flags":{}', b'"flags":{},"flags":{}'), "the member 'flags' is there twice"),
        (b"[]", "must be an object"),
        (b"{}", "/version: must be a number"),
        (document(version="1"), "/version: must be a number"),
        (document(version=True), "/version: must be a number"),
        (document(version=0), "/version: must be a number"),
        (b'{"version":1}', "/flags: must be an object"),
        (document(flags=[]), "/flags: must be an object"),
        (document(flag={}), "/flag: is no member of a flags file"),
        (document(killAll="yes"), "/killAll: must be true or false"),
        (document(flags={"orders": []}), "/flags/orders: must be an object"),
        (document(flags={"orders": {"stage": "beta"}}), "/flags/orders/stage: "),
        (document(flags={"a/b": {}}), "/flags/a~1b/component: "),
        (document(flags={"orders": {"component": "invoices"}}), "/flags/orders/component: must be orders"),
        (document(revisions=[]), "/revisions: must be an object"),
        (document(revisions={"orders": {}}), "/revisions/orders: must be a list"),
        (document(revisions={"orders": [7]}), "/revisions/orders/0: must be an object"),
        (document(revisions={"orders": [ENTRY | {"who": ""}]}), "/revisions/orders/0/who: "),
        (
            document(revisions={"orders": [ENTRY | {"revision": 2}]}),
            "/revisions/orders/0/revision: must be 1",
        ),
        (document(revisions={"orders": [ENTRY | {"restores": 1}]}), "/revisions/orders/0/restores: must be"),
        (document(revisions={"orders": [ENTRY | {"after": {"x": 1}}]}), "/revisions/orders/0/after: has a"),
        (document(killAllRevisions=[ENTRY]), "/killAllRevisions/0/after: has a member"),
        (document(earlier=[]), "/earlier: must be an object"),
        (
            document(earlier={"orders": []}, revisions={"orders": [ENTRY]}),
            "/earlier/orders: must be an object",
        ),
        (document(earlier={"orders": {}}, revisions={"orders": [ENTRY]}), "/earlier/orders: must have the"),
        (
            document(earlier={"orders": EARLIER}, revisions={"orders": [ENTRY]}),
            "/revisions/orders/0/revision: must be 2",
        ),
        (
            document(earlier={"orders": EARLIER}, revisions={"orders": [ENTRY | {"revision": 7}] * 2}),
            "/revisions/orders/1/revision: must be 8",
        ),
        (
            document(earlier={"orders": EARLIER}, revisions={"orders": []}),
            "/revisions/orders: must have a revision",
        ),
        (
            document(
                earlier={"orders": EARLIER | {"stageSince": "today"}},
                revisions={"orders": [ENTRY | {"revision": 7}]},
            ),
            "/earlier/orders/stageSince: must be null",
        ),
        (
            document(
                earlier={"orders": EARLIER | {"state": {"x": 1}}},
                revisions={"orders": [ENTRY | {"revision": 7}]},
            ),
            "/earlier/orders/state: has a member",
        ),
        (document(killAllEarlier=EARLIER), "/killAllEarlier/state: has a member"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_a_file_that_can_not_be_used_is_refused_with_the_place(raw: bytes, what: str) -> None:
    error = refusal(raw)

    assert error.detail.startswith(what)
    assert error.replaceable


def test_a_newer_version_is_refused_and_not_to_be_replaced() -> None:
    error = refusal(document(version=3, future=True))

    assert error.detail == "it is of version 3, and this program knows no newer one than 2"
    assert not error.replaceable
