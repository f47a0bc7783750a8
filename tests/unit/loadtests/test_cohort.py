"""The clients of a benchmark with a flag are all in its rollout, by ids of their own."""

from flags.decide.rollout import in_cohort
from flags.store.document import parse
from loadtests.cohort import COMPONENT, FLAGS, PERCENTAGE, client_id, query_of


def test_every_client_is_let_in_by_an_id_of_its_own_and_the_same_one_each_time() -> None:
    ids = [client_id(index) for index in range(200)]

    assert len(set(ids)) == 200
    assert all(in_cohort(COMPONENT, one, PERCENTAGE) for one in ids)
    assert client_id(7) == ids[7]
    assert query_of(7) == f"component=orders&entity=order&clientId={ids[7]}"


def test_the_flag_has_to_be_decided_for_each_of_them() -> None:
    flag = parse(FLAGS.encode()).flags[COMPONENT]

    assert (flag.stage, flag.percentage, flag.stickiness) == ("live", PERCENTAGE, "client")
