"""adapters/postgres/health.py: when a transaction that holds delivery is worth a warning."""

import pytest

from adapters.postgres.health import PostgresHealth

PATIENCE_SECONDS = 10.0


def warnings(blocking_seconds: float, held_seconds: float) -> list[str]:
    health = PostgresHealth(True, True, blocking_seconds, held_seconds, 0, 0, 0, 0)
    return health.warnings(PATIENCE_SECONDS)


@pytest.mark.parametrize(("blocking_seconds", "held_seconds"), [(0.0, 0.0), (9.9, 9.8)])
def test_a_short_transaction_is_no_warning(blocking_seconds: float, held_seconds: float) -> None:
    assert warnings(blocking_seconds, held_seconds) == []


@pytest.mark.parametrize(
    ("blocking_seconds", "held_seconds", "facts"),
    [
        (63.2, 12.4, "it is 63 s old and the oldest event has waited for 12 s"),
        (63.2, 0.0, "it is 63 s old"),
        (0.0, 12.4, "the oldest event has waited for 12 s"),
    ],
)
def test_an_old_transaction_is_a_warning_with_what_is_known_of_it(
    blocking_seconds: float, held_seconds: float, facts: str
) -> None:
    assert warnings(blocking_seconds, held_seconds) == [
        f"An open transaction that has written holds delivery until it ends: {facts}. "
        "`tidegate postgres status` names it."
    ]
