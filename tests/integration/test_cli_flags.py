"""`tidegate flags` against a real gateway."""

import json

import pytest

from tests.support.admin import ORDERS
from tests.support.api import POLL
from tests.support.command import run
from tests.support.ports import own_port


@pytest.fixture
def flags(flagged):
    """Runs `tidegate flags` on `flagged`: exit code, standard output and error."""

    async def run_flags(name, *arguments, text=None):
        return await run("flags", name, *arguments, "--url", f"http://127.0.0.1:{flagged.port}", text=text)

    return run_flags


async def test_a_migration_goes_forward_and_back(flags):
    code, out, err = await flags("set", "orders", "--stage", "shadow", "--reason", "compare first")
    assert (code, out, err) == (0, "orders is at revision 1: shadow, 0 %, dry run\n", "")
    code, out, _ = await flags("set", "orders", "--stage", "live", "--percentage", "25", "--reason", "go")
    assert (code, out) == (0, "orders is at revision 2: live, 25 %, dry run\n")
    code, out, _ = await flags("rollback", "orders", "--reason", "errors", "--operator", "ann")
    assert (code, out) == (0, "orders is at revision 3: shadow, 0 %, dry run\n")

    code, out, _ = await flags("history", "orders")

    head, made, live, back = out.splitlines()
    assert code == 0
    assert head.split() == ["REVISION", "WHEN", "WHO", "WHAT", "WHY"]
    assert "made: shadow, 0 %" in made
    assert made.endswith("compare first")
    assert "stage shadow → live, percentage 0 → 25" in live
    assert "loopback:ann" in back
    assert "(back to revision 1)" in back


async def test_the_list_and_one_flag_are_shown_for_people_and_for_programs(flags, admin):
    code, out, _ = await flags("list")
    assert (code, out) == (0, "no flags: every component streams and polls freely\n")
    made = (await admin.make(stage="live", percentage=12.5, killed=True)).json()

    _, out, _ = await flags("list")
    assert [line.split() for line in out.splitlines()] == [
        ["COMPONENT", "STAGE", "PERCENT", "STATE", "REVISION"],
        ["orders", "live", "12.5", "killed", "1"],
    ]
    _, out, _ = await flags("list", "--json")
    assert json.loads(out)["flags"] == [made]
    _, out, _ = await flags("show", "orders")
    assert ["percentage", "12.5"] in [line.split() for line in out.splitlines()]
    _, out, _ = await flags("show", "orders", "--json")
    assert json.loads(out) == made


async def test_what_has_no_flag_is_refused(flags):
    code, out, err = await flags("show", "orders")
    assert (code, out) == (3, "")
    assert "404" in err
    assert "orders has no flag" in err


async def test_a_change_for_an_older_revision_says_what_changed(flags, admin):
    await admin.make(stage="live", percentage=25)
    await admin.patch(percentage=50)

    code, out, err = await flags("set", "orders", "--percentage", "60", "--revision", "1", "--reason", "more")

    assert (code, out) == (3, "")
    assert "orders is at revision 2, not at revision 1" in err
    assert "revision 2 by loopback (changed by a test): percentage 25 → 50" in err
    assert (await admin.get(ORDERS)).json()["percentage"] == 50


async def test_a_forbidden_move_names_the_allowed_ones(flags, admin):
    await admin.make(stage="live")
    code, _, err = await flags("set", "orders", "--stage", "complete", "--reason", "hurry")
    assert code == 3
    assert "allowed are off, shadow, rampdown" in err


async def test_a_bad_value_is_pointed_at(flags, admin):
    await admin.make(stage="live")
    code, _, err = await flags("set", "orders", "--percentage", "101", "--reason", "r")
    assert code == 3
    assert "  /percentage: " in err


async def test_members_come_from_a_file_or_standard_input(flags, tmp_path):
    file = tmp_path / "flag.json"
    file.write_text('{"stage": "live", "guard": {"dryRun": false}}')
    code, out, _ = await flags("set", "orders", "--file", str(file), "--reason", "r", "--json")
    assert (code, json.loads(out)["guard"]["dryRun"]) == (0, False)
    code, out, _ = await flags("set", "orders", "--file", "-", "--reason", "r", text='{"percentage": 5}')
    assert (code, out) == (0, "orders is at revision 2: live, 5 %, armed\n")


async def test_a_flag_is_removed_and_the_component_streams_freely(flags, admin):
    await flags("set", "orders", "--stage", "shadow", "--reason", "compare first")

    code, out, err = await flags("delete", "orders", "--reason", "done", "--revision", "7")
    assert (code, out) == (3, "")
    assert "orders is at revision 1, not at revision 7" in err
    code, out, err = await flags("delete", "orders", "--reason", "done")
    assert (code, out, err) == (
        0,
        "orders has no flag any more (revision 2): it streams and polls freely\n",
        "",
    )

    assert (await flags("history", "orders"))[1].splitlines()[-1].split()[3:] == ["removed", "done"]
    _, out, _ = await flags("set", "orders", "--stage", "off", "--reason", "once more")
    assert out == "orders is at revision 3: off, 0 %, dry run\n"


async def test_a_component_that_nothing_configures_takes_force(flags):
    given = ("set", "ordres", "--stage", "off", "--reason", "r")
    code, out, err = await flags(*given)
    assert (code, out) == (3, "")
    assert "ordres is not configured here" in err
    assert "Configured: orders." in err
    assert "--force" in err
    assert (await flags(*given, "--force"))[1] == "ordres is at revision 1: off, 0 %, dry run\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"reason": "r"}', None])
async def test_a_file_that_holds_no_members_is_wrong_input(flags, tmp_path, content):
    file = tmp_path / "flag.json"
    if content is not None:
        file.write_text(content)
    code, out, err = await flags("set", "orders", "--file", str(file), "--reason", "r")
    assert (code, out) == (2, "")
    assert err.startswith("tidegate: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "orders", "--stage", "live"),
        ("set", "orders", "--reason", "r"),
        ("set", "orders", "--stage", "dark", "--reason", "r"),
        ("set", "or/ders", "--stage", "live", "--reason", "r"),
        ("set", "orders", "--percentage", "nan", "--reason", "r"),
        ("rollback", "orders"),
        ("delete", "orders"),
        ("kill", "orders"),
        ("kill", "--reason", "r"),
        ("kill", "orders", "--all", "--reason", "r"),
        ("kill", "orders", "--reason", "r", "--operator", "\n"),
        ("rearm", "orders"),
        ("explain", "--claim", "team"),
    ],
)
async def test_a_wrong_option_changes_nothing(flags, admin, arguments):
    code, out, err = await flags(*arguments)
    assert (code, out) == (2, "")
    assert err
    assert (await admin.get("/api/v1/admin/flags")).json()["flags"] == []


async def test_a_component_and_everything_are_killed_and_come_back(flags, admin):
    await admin.make(stage="live", percentage=25)
    assert (await flags("kill", "orders", "--reason", "r"))[1] == (
        "orders is at revision 2: live, 25 %, killed\n"
    )
    assert (await flags("unkill", "orders", "--reason", "r"))[1] == (
        "orders is at revision 3: live, 25 %, dry run\n"
    )
    assert (await flags("kill", "--all", "--reason", "incident"))[1] == (
        "everything is killed: all callers poll\n"
    )
    assert (await flags("list"))[1].startswith("everything is killed")
    assert (await flags("unkill", "--all", "--reason", "over"))[1] == "the flags count again\n"
    assert "incident" in (await flags("history"))[1]
    assert (await flags("rearm", "orders", "--reason", "r"))[0] == 0


async def test_pollers_are_shown(flags, admin):
    _, out, _ = await flags("pollers", "orders")
    assert out.splitlines()[0] == "nobody has polled since the gateway started"
    await admin.get("/api/v1/sync/poll?component=orders", Tidegate_Client="shop/2.1.0")
    _, out, _ = await flags("pollers", "orders")
    assert out.splitlines()[1].split()[:2] == ["shop/2.1.0", "1"]
    assert out.splitlines()[-1].endswith("saved by the shared snapshot, 0 by push")


async def test_the_guards_verdict_is_shown_with_every_metric(flags, admin):
    code, _, err = await flags("guard", "orders")
    assert (code, "orders has no flag." in err) == (3, True)
    await admin.make(stage="live", percentage=25)
    code, out, _ = await flags("guard", "orders")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "orders: no_data (dry run)")
    assert lines[1] == "  No traffic: neither a success nor a failure."
    assert lines[2].split() == ["METRIC", "VALUE", "SAMPLES", "PROMOTE", "FAIL"]
    assert lines[4].split() == ["errorRate", "-", "0", "1", "%", "5", "%"]
    assert lines[3].split()[-2:] == ["not", "measured"]
    assert lines[-1] == "nothing to do"
    _, out, _ = await flags("guard", "orders", "--json")
    assert json.loads(out)["metrics"]["errorRate"]["samples"] == 0


async def test_the_parity_of_a_component_without_a_polled_list_says_why_it_is_unknown(flags):
    code, out, _ = await flags("parity", "orders")
    assert code == 0
    assert "consistency unknown (no shared route): orders has no legacy route" in out
    code, _, err = await flags("parity", "unheard-of")
    assert code == 3
    assert "404" in err


async def test_explain_says_what_a_caller_gets_and_why(flags, admin):
    await admin.make(stage="live", percentage=100)
    code, out, _ = await flags("explain", "--user", "u42", "--component", "orders")
    assert code == 0
    line, why = out.splitlines()
    assert line == "orders: streaming (live, SPLIT)"
    assert "All of the callers stream (100 %)." in why
    _, out, _ = await flags("explain", "--user", "u42", "--delivery", "polling", "--json")
    assert json.loads(out)["decisions"][0]["cause"] == "user_opt_out"


async def test_a_gateway_that_is_not_there_is_unreachable():
    with own_port() as port:
        url = f"http://127.0.0.1:{port}"
        code, out, err = await run("flags", "list", "--url", url)
    assert (code, out) == (4, "")
    assert "can't reach" in err


async def test_an_unwritable_store_is_a_failure_of_the_gateway(flags, flags_file):
    flags_file.mkdir()
    code, _, err = await flags("set", "orders", "--stage", "live", "--reason", "r")
    assert code == 4
    assert "503" in err


async def test_a_kill_is_held_while_the_store_can_not_be_used_and_that_is_said_as_it_is(
    flags, admin, flags_file
):
    await admin.make(stage="live", percentage=25)
    kept = flags_file.read_bytes()
    flags_file.write_bytes(b'{"version": 99, "flags": {}}')
    code, out, err = await flags("kill", "orders", "--reason", "fire")
    assert (code, out) == (4, "")
    assert "503" in err
    assert "--local" in err.splitlines()[-1]

    code, out, _ = await flags("kill", "orders", "--local", "--reason", "fire")

    assert (code, out.splitlines()[1:]) == (0, ["orders is at revision 1: live, 25 %, killed"])
    assert out.startswith("killed on this node alone")
    _, out, err = await flags("list")
    assert out.splitlines()[0].endswith("takes it: orders")
    assert err.startswith("the flags' store can't be used (it is of version 99")
    _, out, _ = await flags("unkill", "orders", "--local", "--reason", "out")
    assert out == "orders is at revision 1: live, 25 %, dry run\n"
    flags_file.write_bytes(kept)


async def test_a_percentage_that_can_not_place_most_callers_is_warned_of(flags, flagged, admin):
    await admin.make(stage="live")
    for number in range(5):
        query = {"component": "orders", **({"clientId": "c"} if number == 0 else {})}
        assert (await admin.http.get(POLL, params=query)).status_code == 200

    code, out, err = await flags("set", "orders", "--percentage", "25", "--reason", "a quarter")
    _, _, silent = await flags("set", "orders", "--poll-interval-ms", "700", "--reason", "slower")
    _, _, all_of_them = await flags("set", "orders", "--percentage", "100", "--reason", "all")
    answer = (await admin.get(f"{ORDERS}/pollers")).json()

    assert (code, out) == (0, "orders is at revision 2: live, 25 %, dry run\n")
    assert err.startswith(
        "4 of the 5 requests of the last 5 minutes came without a key (stickiness default): "
    )
    assert (silent, all_of_them) == ("", "")
    assert answer["keys"] == {"minutes": 5, "with": 1, "without": 4, "sessionCookie": True}


async def test_callers_that_bring_their_session_have_a_key(flags, admin):
    await admin.make(stage="live", percentage=25)
    for _ in range(5):
        assert (await admin.http.get(POLL, params={"component": "orders"})).status_code == 200

    _, _, err = await flags("set", "orders", "--percentage", "50", "--reason", "half")

    assert err == ""
