"""`tidegate route` and `check-config --try`: what is made of the answers of servers."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from gateway.cli import CommandError
from gateway.cli.routes.route import asked_for, route
from gateway.cli.routes.try_config import tried, values_of
from gateway.service.settings import Settings
from tests.support.command import command
from tests.support.upstream import Answering, Upstream, upstream


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with upstream() as backend:
        yield backend


def in_turn(*bodies: Any, **headers: str) -> Answering:
    """Answers with one body after the other, and then with the last."""
    left = [orjson.dumps(body) for body in bodies]

    async def answer(request: web.Request) -> web.StreamResponse:
        body = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(body=body, content_type="application/json", headers=headers)

    return answer


def settings(url: str, **given: Any) -> Settings:
    base = {"component": "orders", "path": "/orders", "upstream": url, "entity": "order", "key": "id"}
    return Settings.model_validate({"legacy": [{**base, "shared": True, **given}]})


async def report(of: Settings, *given: str) -> tuple[str, int]:
    """The lines of a trial, with one space between columns, and the exit code."""
    lines, code = await tried(of, values_of(given), 0.0)
    return "\n".join(" ".join(line.split()) for line in lines), code


async def test_a_route_is_printed_that_fits_both_answers(backend: Upstream) -> None:
    first, second = (
        {"results": [{"id": n, "stage": "new", "ageMs": age} for n in (1, 2, 3)]} for age in (1, 2)
    )
    backend.answering = in_turn(first, second)
    lines = await route(asked_for(f"{backend.url}?status=open", None, None, ["X-Key: hunter2"]), None, 0.0)
    (made,) = tomllib.loads("\n".join(lines))["legacy"]
    assert made == {
        "component": "orders",
        "path": "/orders",
        "upstream": backend.url,
        "headers": {"X-Key": "${ORDERS_X_KEY}"},
        "query": "status=open",
        "vary_query": ["status"],
        "entity": "order",
        "shared": True,
        "items": "/results",
        "key": "id",
        "ignore": ["/ageMs"],
    }
    assert [asked.headers["X-Key"] for asked in backend.asked] == ["hunter2"] * 2
    assert [asked.target for asked in backend.asked] == ["/orders?status=open"] * 2


async def test_a_variable_may_be_given_in_place_of_a_secret(
    backend: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hunter2")
    backend.answering = in_turn([{"id": 1}])
    asked = asked_for(backend.url, None, None, ["Authorization: Bearer ${SHOP_TOKEN}"])
    text = "\n".join(await route(asked, None, 0.0))
    assert 'headers = { Authorization = "Bearer ${SHOP_TOKEN}" }' in text
    assert "hunter2" not in text
    assert backend.asked[0].headers["Authorization"] == "Bearer hunter2"
    monkeypatch.delenv("SHOP_TOKEN")
    with pytest.raises(CommandError, match="names the variable SHOP_TOKEN"):
        await route(asked, None, 0.0)


async def test_a_body_is_posted(backend: Upstream) -> None:
    backend.answering = in_turn({"data": {"issues": [{"id": 1}]}})
    lines = await route(asked_for(backend.url, None, '{"query": "{ issues { id } }"}', []), None, 0.0)
    (made,) = tomllib.loads("\n".join(lines))["legacy"]
    assert (made["method"], made["path"], made["items"]) == ("POST", "/api/issues", "/data/issues")
    assert [(asked.method, asked.headers["Content-Type"]) for asked in backend.asked] == [
        ("POST", "application/json")
    ] * 2


@pytest.mark.parametrize(
    ("status", "headers", "code", "said"),
    [
        (401, {"WWW_Authenticate": "Bearer"}, 3, "Here: --header 'Authorization: …'"),
        (405, {"Allow": "POST"}, 3, "--method POST"),
        (301, {"Location": "/v2"}, 3, "make that the upstream"),
        (503, {"Retry_After": "9"}, 4, "Retry-After: 9"),
        (429, {}, 4, "interval_seconds"),
    ],
)
async def test_without_a_list_there_is_no_route_but_advice(
    backend: Upstream, status: int, headers: dict[str, str], code: int, said: str
) -> None:
    backend.says(b"", status=status, **headers)
    with pytest.raises(CommandError) as refused:
        await route(
            asked_for(backend.url, None, None, ["Authorization: Bearer hunter2"][: status != 401]), None, 0.0
        )
    assert refused.value.exit_code == code
    assert said in refused.value.message
    assert "hunter2" not in refused.value.message


async def test_an_upstream_out_of_reach_is_told_from_one_that_refuses(refusing: str) -> None:
    with pytest.raises(CommandError) as failed:
        await route(asked_for(refusing, None, None, []), None, 0.0)
    assert failed.value.exit_code == 4
    assert "is the upstream running" in failed.value.message


@pytest.mark.parametrize(
    ("url", "headers", "body", "said"),
    [
        ("orders", [], None, "URL must be one of http"),
        ("http://u:hunter2@h/", [], None, "must not hold a user name or a password"),
        ("http://h/", ["hunter2"], None, "--header must be a name, a colon and a value"),
        ("http://h/", [], "@no-such-file", "no-such-file can't be read"),
    ],
)
def test_what_can_not_be_asked_is_refused(url: str, headers: list[str], body: str | None, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        asked_for(url, None, body, headers)
    assert (refused.value.exit_code, said in refused.value.message) == (2, True)
    assert "hunter2" not in refused.value.message


async def test_a_header_that_can_not_be_sent_is_refused_without_showing_it() -> None:
    with pytest.raises(CommandError) as refused:
        await route(asked_for("http://127.0.0.1:9/", None, None, ["X-Key: hunter2\x01"]), None, 0.0)
    assert refused.value.exit_code == 2
    assert "headers.X-Key must not have control characters" in refused.value.message
    assert "hunter2" not in refused.value.message


async def test_a_trial_says_what_it_made_of_the_answers(backend: Upstream) -> None:
    def answer(age: int, *ids: int) -> dict[str, Any]:
        return {"docs": [{"id": number, "orderStage": "new", "ageMs": age} for number in ids]}

    backend.answering = in_turn(
        answer(1, 1, 2, 3, 4), answer(2, 2, 3, 4, 5), ETag='"a"', Vary="Cookie", Expires="0"
    )
    said, code = await report(settings(backend.url, items="/docs", changes={"orderStage": "stage_change"}))
    assert code == 0
    for line in (
        "items 4 at /docs",
        'keys "1", "2", "3", … (id)',
        "known again by ETag",
        "asked again changed: /ageMs (3); 1 new; 1 gone, of 3 items in both",
        "would publish 1 order_deleted, 3 order_updated, 1 order_created",
        "events order_created, order_deleted, stage_change (orderStage), order_updated",
        "not passed on Expires",
        'If it means nothing: ignore = ["/ageMs"].',
        "Its ETag stayed the same while the answer changed",
    ):
        assert line in said
    assert "callers Vary: Cookie says" in said


async def test_what_is_ignored_is_not_named_again(backend: Upstream) -> None:
    backend.answering = in_turn(*({"docs": [{"id": n, "age": age} for n in (1, 2)]} for age in (1, 2)))
    said, _ = await report(settings(backend.url, items="/docs", ignore=["/age"]))
    assert "asked again nothing changed, of 2 items in both" in said
    assert "!" not in said


async def test_an_upstream_that_knows_conditional_requests_is_asked_with_one(backend: Upstream) -> None:
    backend.says(b'[{"id": 1}]', ETag='"a"')
    said, code = await report(settings(backend.url))
    assert "asked again 304, nothing changed" in said
    assert code == 0
    assert [asked.headers.get("If-None-Match") for asked in backend.asked] == [None, '"a"']


async def test_a_page_that_is_not_followed_is_named(backend: Upstream) -> None:
    backend.answering = in_turn({"count": 9, "next": None, "results": [{"id": 1}]})
    said, _ = await report(settings(backend.url, items="/results"))
    assert 'pages = { next = "/next" }' in said


@pytest.mark.parametrize(
    ("body", "given", "said"),
    [
        (b'{"items": [{"id": 1}]}', {}, 'There are 1 items at /items: items = "/items".'),
        (b'[{"uid": "a"}, {"uid": "b"}]', {}, 'key = "uid"'),
        (b"<html>", {}, "HTML, a page for people"),
        (b'[{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": 2, "n": 1}]', {}, 'key = ["id", "n"]'),
    ],
)
async def test_an_answer_that_can_not_be_compared_ends_with_3(
    backend: Upstream, body: bytes, given: dict[str, Any], said: str
) -> None:
    backend.says(body)
    text, code = await report(settings(backend.url, **given))
    assert said in text
    assert "problem" in text
    assert code == 3


@pytest.mark.parametrize(
    ("following", "said"),
    [
        ("/orders", "is pages right?"),
        ("https://elsewhere.example/orders?page=2", "set public_url to the one that they name"),
        ("http://127.0.0.1:1/orders", "set public_url to the one that they name"),
        (7, "is the pointer right?"),
    ],
)
async def test_pages_that_can_not_be_followed_are_named(backend: Upstream, following: Any, said: str) -> None:
    backend.answering = in_turn({"next": following, "docs": [{"id": 1}]})
    text, code = await report(settings(backend.url, items="/docs", pages={"next": "/next"}))
    assert "problem" in text
    assert said in text
    assert code == 3


async def test_all_pages_are_counted(backend: Upstream) -> None:
    backend.answering = in_turn(
        {"next": "/orders?page=2", "docs": [{"id": 1}]}, {"next": None, "docs": [{"id": 2}, {"id": 3}]}
    )
    said, code = await report(settings(backend.url, items="/docs", pages={"next": "/next"}))
    assert "items 3 at /docs" in said
    assert "requests 2, pages and also together" in said
    assert code == 0


async def test_what_is_only_served_needs_no_key(backend: Upstream) -> None:
    backend.says(b'{"a": [1, 2]}')
    of = Settings.model_validate(
        {
            "legacy": [
                {"component": "c", "path": "/c", "upstream": backend.url, "entity": "e"}
                | {"shared": True, "events": "none"}
            ]
        }
    )
    said, code = await report(of)
    assert 'events none (events = "none")' in said
    assert code == 0


async def test_what_is_too_slow_or_too_large_is_named(backend: Upstream) -> None:
    backend.answering = in_turn([{"id": 1, "text": "x" * 70_000}, {"id": 2}])
    said, code = await report(settings(backend.url))
    assert "1 items are over publish.max_event_bytes (65536)" in said
    assert "interval_seconds" not in said
    assert code == 0


async def test_bad_items_among_good_ones_are_named(backend: Upstream) -> None:
    backend.says(b'[{"id": 1, "uid": "a"}, {"uid": "b"}, {"id": null, "uid": "c"}]')
    said, code = await report(settings(backend.url))
    assert "items 1" in said
    assert "2 items can't be compared and make no events: no_key (2); the first is item 1." in said
    assert 'key = "uid"' in said
    assert code == 0


async def test_functions_are_tried_as_well(backend: Upstream, tmp_path: Path) -> None:
    (tmp_path / "trial_functions.py").write_text(
        "def lines(body, content_type):\n"
        "    return [{'id': line} for line in body.decode().split()]\n\n\n"
        "def fails(item):\n"
        "    raise ValueError('hunter2')\n"
    )
    backend.says(b"a b c", Content_Type="text/plain")
    base = settings(backend.url, decode="trial_functions:lines").model_dump(exclude_defaults=True)
    of = Settings.model_validate(base, context={"base_dir": tmp_path})
    said, code = await report(of)
    assert 'keys "a", "b", "c" (id)' in said
    assert code == 0
    base["legacy"][0]["map"] = "trial_functions:fails"
    said, code = await report(Settings.model_validate(base, context={"base_dir": tmp_path}))
    assert code == 3
    assert "problem" in said
    assert "hunter2" not in said


async def test_each_route_has_its_lines_in_the_order_of_the_configuration(
    backend: Upstream, refusing: str
) -> None:
    backend.says(b'[{"id": 1}]')
    base = {"component": "c", "key": "id", "shared": True}
    given = Settings.model_validate(
        {
            "legacy": [
                {**base, "path": "/own", "upstream": backend.url, "entity": "a", "shared": False},
                {**base, "path": "/c/{c}/o", "upstream": f"{backend.url}/{{c}}", "entity": "b"},
                {**base, "path": "/gone", "upstream": refusing, "entity": "d"},
            ]
        }
    )
    said, code = await report(given)
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("/")] == ["/own", "/c/{c}/o", "/gone"]
    assert "not asked: its path has parameters: say --with c=…" in lines
    assert code == 4
    said, _ = await report(given, "c=7 a")
    assert "/c/7%20a/o" in said.splitlines()
    assert backend.asked[-1].target == "/orders/7%20a"


@pytest.mark.parametrize("given", ["c", "c=", "c=a/b", "c=.."])
def test_a_value_is_one_step_of_a_path(given: str) -> None:
    with pytest.raises(CommandError, match="--with must be a parameter"):
        values_of([given])


async def test_the_printed_route_is_one_that_the_commands_take(backend: Upstream, tmp_path: Path) -> None:
    backend.answering = in_turn([{"id": 1}, {"id": 2}])
    async with command(
        "route", backend.url, "--header", "Authorization: Bearer hunter2", "--pause", "0"
    ) as printing:
        code, out, err = await printing.end()
    assert (code, "asking again" in err) == (0, True)
    file = tmp_path / "tidegate.toml"
    file.write_text(out)
    options = ("check-config", "--config", str(file), "--try", "--pause", "0")
    async with command(*options, ORDERS_TOKEN="hunter2") as checking:
        code, out, err = await checking.end()
    assert code == 0, out + err
    assert "items           2" in out
    assert backend.asked[-1].headers["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in out + err
    async with command(*options) as checking:
        code, _, err = await checking.end()
    assert code == 2
    assert "names the variable ORDERS_TOKEN, which is not set" in err
