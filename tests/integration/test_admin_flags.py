"""Flags read and changed over HTTP (docs/protocol.md, section 8)."""

import asyncio

import pytest

from tests.support.admin import FLAGS, KILL_ALL, ORDERS, UNKILL_ALL, refused
from tests.support.api import Client, eventually
from tests.support.flags import LATCH, edit, rule


async def test_without_flags_the_list_is_empty(admin):
    assert (await admin.get(FLAGS)).json() == {
        "killAll": False,
        "stale": False,
        "staleReason": None,
        "heldHere": {"killAll": False, "components": []},
        "flags": [],
    }
    refused(await admin.get(ORDERS), 404)


async def test_put_makes_a_flag_whose_etag_is_its_revision(admin):
    response = await admin.make(stage="live", percentage=25)

    assert (response.headers["ETag"], response.headers["Location"]) == ('"1"', ORDERS)
    flag = (await admin.get(ORDERS)).json()
    assert flag == response.json()
    assert (flag["stage"], flag["percentage"], flag["revision"]) == ("live", 25, 1)
    assert (await admin.get(FLAGS)).json()["flags"] == [flag]


async def test_a_flag_that_did_not_change_is_answered_304(admin):
    await admin.make()
    response = await admin.get(ORDERS, If_None_Match='"1"')
    assert (response.status_code, response.headers["ETag"], response.content) == (304, '"1"', b"")
    assert (await admin.get(ORDERS, If_None_Match='"2"')).status_code == 200


async def test_a_put_replaces_the_flag_but_not_its_kill_switch(admin):
    await admin.make(stage="live", percentage=25)
    await admin.post(f"{ORDERS}/kill")

    response = await admin.send("PUT", ORDERS, {"stage": "live", "reason": "again"}, If_Match='"2"')

    flag = response.json()
    assert (response.status_code, flag["percentage"], flag["killed"]) == (200, 0, True)


async def test_what_was_got_can_be_put_back_with_a_reason(admin):
    await admin.make(stage="live", percentage=25)
    flag = (await admin.get(ORDERS)).json() | {"percentage": 50, "reason": "more"}
    response = await admin.send("PUT", ORDERS, flag, If_Match='"1"')
    assert (response.status_code, response.json()["percentage"]) == (200, 50)


async def test_a_patch_changes_what_it_names_and_nothing_else(admin):
    made = (await admin.make(stage="live", percentage=25)).json()
    response = await admin.patch(percentage=50, guard={"dryRun": False})
    expected = made | {"percentage": 50, "revision": 2, "guard": made["guard"] | {"dryRun": False}}
    assert response.json() == expected
    assert response.headers["ETag"] == '"2"'


async def test_a_patch_may_call_itself_a_merge_patch(admin):
    await admin.make(stage="live")
    response = await admin.http.patch(
        ORDERS,
        content=b'{"percentage": 5, "reason": "r"}',
        headers={"Content-Type": "application/merge-patch+json", "If-Match": '"1"'},
    )
    assert response.status_code == 200


async def test_a_change_of_a_flag_that_exists_must_say_which_revision_it_is_for(admin):
    await admin.make()
    for method in ("PUT", "PATCH"):
        response = await admin.send(method, ORDERS, {"stage": "shadow", "reason": "r"})
        refused(response, 428)
        assert response.headers["ETag"] == '"1"'


async def test_a_change_for_an_older_revision_is_told_what_changed_since(admin):
    await admin.make(stage="live", percentage=25)
    await admin.send(
        "PATCH", ORDERS, {"percentage": 50, "reason": "why"}, If_Match='"1"', Tidegate_Operator="bob"
    )

    response = await admin.send("PATCH", ORDERS, {"percentage": 60, "reason": "r"}, If_Match='"1"')

    problem = refused(response, 412)
    assert (problem["expected"], problem["current"], response.headers["ETag"]) == (1, 2, '"2"')
    change = problem["changes"][0]
    assert (change["who"], change["why"]) == ("loopback:bob", "why")
    assert (change["before"], change["after"]) == ({"percentage": 25}, {"percentage": 50})
    assert "Revision 2 by loopback:bob changed percentage." in problem["detail"]


@pytest.mark.parametrize("tag", ['"7"', 'W/"1"', '"x"', '"01"'])
async def test_a_tag_that_is_not_the_flags_own_never_matches(admin, tag):
    await admin.make()
    refused(await admin.send("PATCH", ORDERS, {"stage": "shadow", "reason": "r"}, If_Match=tag), 412)


@pytest.mark.parametrize("tag", ["*", '"1"', '"7", "1"'])
async def test_a_condition_that_holds_lets_the_change_through(admin, tag):
    await admin.make()
    response = await admin.send("PATCH", ORDERS, {"stage": "shadow", "reason": "r"}, If_Match=tag)
    assert response.status_code == 200


async def test_a_condition_that_is_no_list_of_tags_is_a_bad_parameter(admin):
    await admin.make()
    response = await admin.send("PATCH", ORDERS, {"stage": "shadow", "reason": "r"}, If_Match="1")
    refused(response, 400, "If-Match")


async def test_a_flag_that_is_to_be_new_does_not_replace_another(admin):
    await admin.make()
    refused(await admin.send("PUT", ORDERS, {"stage": "live", "reason": "r"}, If_None_Match="*"), 412)


@pytest.mark.parametrize("tag", ["*", '"1"'])
async def test_no_revision_matches_where_there_is_no_flag(admin, tag):
    refused(await admin.send("PUT", ORDERS, {"reason": "r"}, If_Match=tag), 412)


async def test_of_two_administrators_at_once_one_is_told_about_the_other(admin):
    await admin.make(stage="live")
    answers = await asyncio.gather(
        *(
            admin.send("PATCH", ORDERS, {"percentage": percentage, "reason": "r"}, If_Match='"1"')
            for percentage in (10, 20)
        )
    )
    winner, loser = sorted(answers, key=lambda answer: answer.status_code)
    assert winner.status_code == 200
    problem = refused(loser, 412)
    assert problem["changes"][0]["after"] == {"percentage": winner.json()["percentage"]}
    assert (await admin.get(ORDERS)).json() == winner.json()


async def test_two_administrators_who_make_the_same_flag_make_it_once(admin):
    answers = await asyncio.gather(
        *(admin.send("PUT", ORDERS, {"percentage": p, "reason": "r"}) for p in (1, 2))
    )
    assert {answer.status_code for answer in answers} < {201, 412, 428}
    assert [answer.status_code for answer in answers].count(201) == 1


@pytest.mark.parametrize("reason", [None, "", 5, "two\nlines", "x" * 1001])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"{FLAGS}/other?force=true"),
        ("DELETE", ORDERS),
        ("PATCH", ORDERS),
        ("POST", f"{ORDERS}/rollback"),
        ("POST", f"{ORDERS}/kill"),
        ("POST", f"{ORDERS}/rearm"),
        ("POST", KILL_ALL),
    ],
)
async def test_every_change_takes_a_reason(admin, method, path, reason):
    await admin.make(stage="live")
    body = {} if reason is None else {"reason": reason}
    condition = {"If_Match": '"1"'} if method in ("PATCH", "DELETE") else {}
    refused(await admin.send(method, path, body, **condition), 422, "/reason")
    assert (await admin.get(f"{ORDERS}/revisions")).json()["total"] == 1


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"stage": "dark"}, "/stage"),
        ({"percentage": -0.001}, "/percentage"),
        ({"percentage": 100.001}, "/percentage"),
        ({"percentage": "25"}, "/percentage"),
        ({"percentage": 0.0001}, "/percentage"),
        ({"targeting": [rule("shoeSize", "eq", "44", "polling")]}, "/targeting/0/attribute"),
        ({"stickiness": "shoeSize"}, "/stickiness"),
        ({"pollIntervalMs": 0}, "/pollIntervalMs"),
        ({"sunset": "tomorrow"}, "/sunset"),
        ({"colour": "green"}, "/colour"),
        ({"revision": 9}, "/revision"),
        ({"component": "billing"}, "/component"),
        ({"guard": {"minSamples": 0}}, "/guard/minSamples"),
    ],
)
async def test_a_bad_member_is_pointed_at_and_nothing_changes(admin, fields, place):
    made = (await admin.make(stage="live")).json()
    refused(await admin.patch(**fields), 422, place)
    assert (await admin.get(ORDERS)).json() == made


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"percentage": NaN}', b'{"percentage": 1e999}', b'{"a":' * 40 + b"1" + b"}" * 40]
)
async def test_a_body_that_is_no_usable_json_is_malformed(admin, body):
    response = await admin.http.put(ORDERS, content=body, headers={"Content-Type": "application/json"})
    refused(response, 400)


@pytest.mark.parametrize("body", [[], "x", 5, True])
async def test_a_body_that_is_no_object_is_refused(admin, body):
    refused(await admin.send("PUT", ORDERS, body), 422, "")


async def test_a_component_whose_name_can_not_be_is_refused(admin):
    refused(await admin.send("PUT", f"{FLAGS}/or%20ders?force=true", {"reason": "r"}), 422, "/component")


async def test_a_move_that_the_table_forbids_names_those_it_allows(admin):
    await admin.make(stage="shadow")
    problem = refused(await admin.patch(stage="complete"), 409, "/stage")
    assert (problem["from"], problem["to"]) == ("shadow", "complete")
    assert problem["allowed"] == ["off", "live"]
    assert "off, live" in problem["detail"]


async def test_a_rollback_undoes_the_last_change_of_stage_or_percentage(admin):
    await admin.make(stage="live", percentage=25)
    await admin.patch(percentage=50)
    await admin.patch(pollIntervalMs=1000)
    response = await admin.post(f"{ORDERS}/rollback", "errors")
    assert (response.status_code, response.json()["percentage"]) == (200, 25)
    last = (await admin.get(f"{ORDERS}/revisions")).json()["revisions"][-1]
    assert (last["why"], last["restores"]) == ("errors", 1)


async def test_a_rollback_goes_to_the_revision_that_it_names(admin):
    await admin.make(stage="shadow")
    await admin.patch(stage="live")
    await admin.patch(percentage=50)
    assert (await admin.post(f"{ORDERS}/rollback", toRevision=1)).json()["stage"] == "shadow"


async def test_a_rollback_to_nothing_is_not_found(admin):
    await admin.make()
    refused(await admin.post(f"{ORDERS}/rollback"), 404)
    refused(await admin.post(f"{ORDERS}/rollback", toRevision=9), 404)
    refused(await admin.post(f"{FLAGS}/other/rollback"), 404)


@pytest.mark.parametrize("revision", [0, -1, 1.5, "1", True])
async def test_a_rollback_to_what_is_no_revision_is_pointed_at(admin, revision):
    await admin.make()
    refused(await admin.post(f"{ORDERS}/rollback", toRevision=revision), 422, "/toRevision")


async def test_an_action_takes_nothing_but_what_it_knows(admin):
    await admin.make()
    refused(await admin.post(f"{ORDERS}/kill", "r", percentage=5), 422, "/percentage")
    refused(await admin.post(f"{ORDERS}/rollback", "r", to=5), 422, "/to")


async def test_kill_and_unkill_need_no_revision_and_keep_the_stage(admin):
    await admin.make(stage="live", percentage=25)
    killed = (await admin.post(f"{ORDERS}/kill")).json()
    assert (killed["killed"], killed["stage"], killed["percentage"]) == (True, "live", 25)
    assert (await admin.post(f"{ORDERS}/unkill")).json()["killed"] is False


async def test_an_action_for_another_revision_is_stale_where_it_says_one(admin):
    await admin.make()
    response = await admin.send("POST", f"{ORDERS}/kill", {"reason": "r"}, If_Match='"7"')
    refused(response, 412)


async def test_killing_what_has_no_flag_is_not_found(admin):
    refused(await admin.post(f"{FLAGS}/other/kill"), 404)


async def test_rearm_clears_the_latch(admin):
    await admin.make(stage="live", latch=LATCH)
    assert (await admin.post(f"{ORDERS}/rearm")).json()["latch"] is None


async def test_everything_is_killed_and_comes_back(admin):
    assert (await admin.post(KILL_ALL, "incident")).json() == {"killAll": True}
    mode = (await admin.get("/api/v1/sync/fetch-mode?component=orders")).json()
    assert (mode["mode"], mode["cause"]) == ("polling", "kill_switch")
    assert (await admin.post(UNKILL_ALL, "over")).json() == {"killAll": False}
    trail = (await admin.get(KILL_ALL)).json()
    assert (trail["killAll"], [entry["why"] for entry in trail["revisions"]]) == (False, ["incident", "over"])


async def test_revisions_say_who_when_why_and_what(admin):
    await admin.make(stage="live")
    await admin.send(
        "PATCH", ORDERS, {"percentage": 5, "reason": "go"}, If_Match="*", Tidegate_Operator="ann"
    )
    answer = (await admin.get(f"{ORDERS}/revisions")).json()
    assert (answer["component"], answer["total"], answer["heldFrom"]) == ("orders", 2, 1)
    assert [entry["revision"] for entry in answer["revisions"]] == [1, 2]
    assert [entry["who"] for entry in answer["revisions"]] == ["loopback", "loopback:ann"]
    last = (await admin.get(f"{ORDERS}/revisions?limit=1")).json()["revisions"]
    assert [(entry["before"], entry["after"]) for entry in last] == [({"percentage": 0}, {"percentage": 5})]


async def test_revisions_of_what_never_had_a_flag_are_not_found(admin):
    refused(await admin.get(f"{FLAGS}/other/revisions"), 404)
    refused(await admin.get(f"{ORDERS}/revisions?limit=0"), 400, "limit")


async def test_a_flag_decides_as_soon_as_its_change_is_answered(admin):
    await admin.make(stage="rampdown")
    mode = (await admin.get("/api/v1/sync/fetch-mode?component=orders&clientId=c")).json()
    assert (mode["mode"], mode["stage"], mode["revision"]) == ("streaming", "rampdown", 1)
    await admin.patch(stage="off")
    mode = (await admin.get("/api/v1/sync/fetch-mode?component=orders&clientId=c")).json()
    assert (mode["mode"], mode["stage"], mode["revision"]) == ("polling", "off", 2)


async def test_an_edit_of_the_file_is_what_a_change_is_stale_against(admin, flags_file):
    await admin.make(stage="live")
    edit(flags_file, '"percentage": 0', '"percentage": 40')
    response = await admin.send("PATCH", ORDERS, {"percentage": 60, "reason": "r"}, If_Match='"1"')
    problem = refused(response, 412)
    assert problem["changes"][0]["who"] == "file"


async def test_a_flags_file_that_can_not_be_written_is_503_and_changes_nothing(admin, flags_file):
    flags_file.mkdir()
    response = await admin.send("PUT", ORDERS, {"stage": "live", "reason": "r"})
    problem = refused(response, 503)
    assert "Retry-After" in response.headers
    assert str(flags_file) not in problem["detail"]
    assert (await admin.get(FLAGS)).json()["flags"] == []


async def test_a_broken_flags_file_is_shown_as_stale(admin, flags_file):
    await admin.make(stage="live")
    flags_file.write_text("{")

    async def is_stale():
        return (await admin.get(FLAGS)).json()["stale"]

    await eventually(is_stale, "the flags are stale")
    assert (await admin.get(ORDERS)).json()["stage"] == "live"


async def test_a_flag_is_removed_at_the_revision_that_is_meant(admin):
    await admin.make(stage="live", percentage=25)
    refused(await admin.send("DELETE", ORDERS, {"reason": "r"}), 428)
    refused(await admin.send("DELETE", ORDERS, {"reason": "r"}, If_Match='"2"'), 412)
    refused(await admin.send("DELETE", ORDERS, {}, If_Match='"1"'), 422, "/reason")
    assert (await admin.get(ORDERS)).status_code == 200

    response = await admin.send("DELETE", ORDERS, {"reason": "done"}, If_Match='"1"')

    assert response.json() == {"component": "orders", "revision": 2, "removed": True}
    refused(await admin.get(ORDERS), 404)
    refused(await admin.send("DELETE", ORDERS, {"reason": "r"}, If_Match='"1"'), 404)
    history = (await admin.get(f"{ORDERS}/revisions")).json()
    assert history["total"] == 2
    assert history["revisions"][-1]["after"] is None
    mode = (await admin.get("/api/v1/sync/fetch-mode?component=orders")).json()
    assert (mode["mode"], mode["reason"], mode["revision"]) == ("streaming", "STATIC", 0)


async def test_a_flag_that_is_made_again_has_no_etag_that_it_had_before(admin):
    await admin.make(stage="live", percentage=25)
    await admin.send("DELETE", ORDERS, {"reason": "done"}, If_Match='"1"')

    response = await admin.make(stage="live")

    assert response.headers["ETag"] == '"3"'
    refused(await admin.send("PATCH", ORDERS, {"percentage": 5, "reason": "r"}, If_Match='"1"'), 412)
    refused(await admin.send("DELETE", ORDERS, {"reason": "r"}, If_Match='"2"'), 412)


@pytest.mark.parametrize(("members", "place"), [({"killed": True}, "/killed"), ({"latch": LATCH}, "/latch")])
async def test_a_flag_that_holds_everybody_to_polling_is_not_removed_by_the_way(admin, members, place):
    await admin.make(stage="live", **members)
    refused(await admin.send("DELETE", ORDERS, {"reason": "r"}, If_Match='"1"'), 422, place)
    assert (await admin.get(ORDERS)).status_code == 200


async def test_a_flag_of_a_component_that_nothing_configures_is_made_by_force_alone(admin):
    path = f"{FLAGS}/ordres"
    problem = refused(await admin.send("PUT", path, {"reason": "r"}), 422)
    assert "Configured: orders" in problem["detail"]
    refused(await admin.send("PUT", f"{path}?force=yes", {"reason": "r"}), 400, "force")

    await admin.make(path)

    response = await admin.send("PUT", path, {"stage": "shadow", "reason": "r"}, If_Match='"1"')
    assert response.status_code == 200, "a flag that is there may be changed"


async def test_removing_a_flag_tells_open_streams_that_they_carry_the_component(admin, flagged):
    await admin.make(stage="off")
    async with Client(flagged.port).stream([("component", "orders"), ("component", "free")]) as stream:
        assert (await stream.connected()).data["modes"] == {"free": "streaming", "orders": "polling"}
        await admin.send("DELETE", ORDERS, {"reason": "done"}, If_Match='"1"')
        told = (await stream.until("fetch-mode")).data
        assert (told["component"], told["mode"]) == ("orders", "streaming")


async def test_figures_say_which_process_they_are_of(admin):
    await admin.make()
    for name in ("pollers", "parity", "guard", "telemetry"):
        process = (await admin.get(f"{ORDERS}/{name}")).json()["answeredBy"]
        assert (process["worker"], process["workers"], process["sharesLog"]) == (None, 1, False)


async def test_a_kill_works_where_its_store_does_not(admin, flags_file):
    await admin.make(stage="live", percentage=100)
    kept = flags_file.read_bytes()
    newer = b'{"version": 99, "flags": {}}'
    flags_file.write_bytes(newer)
    refused(await admin.post(f"{ORDERS}/kill"), 503)

    killed = (await admin.post(f"{ORDERS}/kill", local=True)).json()
    everything = (await admin.post(KILL_ALL, local=True)).json()

    assert (killed["killed"], killed["local"], killed["missedWorkers"]) == (True, True, [])
    assert everything == {"killAll": True, "local": True, "missedWorkers": []}
    assert flags_file.read_bytes() == newer
    mode = (await admin.get("/api/v1/sync/fetch-mode?component=orders&clientId=c")).json()
    assert (mode["mode"], mode["cause"]) == ("polling", "kill_switch")
    listed = (await admin.get(FLAGS)).json()
    assert listed["heldHere"] == {"killAll": True, "components": ["orders"]}
    assert (await admin.get("/readyz")).json()["warnings"][-1].endswith("takes it: everything, orders.")
    assert (await admin.post(UNKILL_ALL, local=True)).json()["killAll"] is False

    flags_file.write_bytes(kept)

    async def is_written() -> bool:
        return (await admin.get(FLAGS)).json()["heldHere"]["components"] == []

    await eventually(is_written, "the store has the kill")
    assert (await admin.get(f"{ORDERS}/revisions")).json()["revisions"][-1]["after"] == {"killed": True}
    assert (await admin.post(f"{ORDERS}/unkill")).json()["killed"] is False


async def test_a_kill_that_the_store_took_is_not_local(admin):
    await admin.make(stage="live", percentage=100)
    assert (await admin.post(f"{ORDERS}/kill", local=True)).json()["local"] is False
    assert (await admin.get(ORDERS)).headers["ETag"] == '"2"'


async def test_only_a_kill_may_be_local(admin):
    await admin.make(stage="live")
    refused(await admin.post(f"{ORDERS}/rearm", local=True), 422, "/local")
    refused(await admin.post(f"{ORDERS}/kill", local="yes"), 422, "/local")
    other = await admin.send("POST", f"{ORDERS}/kill", {"reason": "r", "local": True}, If_Match='"7"')
    refused(other, 412)
    refused(await admin.post(f"{FLAGS}/free/kill", local=True), 404)


async def test_why_the_flags_are_stale_is_said_as_it_is(admin, flags_file):
    await admin.make(stage="live")
    assert (await admin.get(FLAGS)).json()["staleReason"] is None
    flags_file.unlink()

    async def is_stale() -> bool:
        return (await admin.get(FLAGS)).json()["stale"]

    await eventually(is_stale, "the file is missed")
    assert (await admin.get(FLAGS)).json()["staleReason"] == "it is gone"
