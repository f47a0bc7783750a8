"""What a client of the migration's cost has seen of the changes, and how old each was."""

import orjson

from loadtests.freshness import Changes, Viewer, mark, marked, percentiles, shown


def viewers_of(made_at: list[float]) -> tuple[Changes, Viewer]:
    changes = Changes()
    for now in made_at:
        changes.make(now)
    return changes, Viewer(changes)


def test_a_list_shows_the_last_change_of_each_order() -> None:
    docs = [{"customer": mark(3)}, {"customer": "Ada Berg"}, {"customer": mark(7)}]

    assert shown(orjson.dumps({"docs": docs})) == {3, 7}
    assert marked({"customer": "Ada Berg"}) is None


def test_a_change_is_as_old_as_it_was_when_it_was_first_seen() -> None:
    _, viewer = viewers_of([10.0, 11.0])

    viewer.see({0}, 10.5)
    viewer.see({0, 1}, 13.0)

    assert viewer.staleness == [0.5, 2.0]
    assert (viewer.unseen, viewer.repeated) == (0, 0)


def test_a_change_that_was_never_shown_is_unseen() -> None:
    _, viewer = viewers_of([10.0, 11.0, 12.0])

    viewer.see({0, 2}, 13.0)

    assert viewer.unseen == 1


def test_an_event_that_comes_twice_is_repeated() -> None:
    _, viewer = viewers_of([10.0])

    viewer.hear(0, 10.5)
    viewer.hear(0, 10.75)

    assert (viewer.staleness, viewer.repeated) == ([0.5], 1)


def test_percentiles_are_over_all_clients_and_changes() -> None:
    changes = Changes()
    viewers = [Viewer(changes) for _ in range(2)]
    for number in range(101):
        changes.make(0.0)
        viewers[number % 2].see({number}, float(number))

    assert percentiles(viewers) == (50.0, 99.0)
