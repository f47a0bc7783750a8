"""gateway/access/rules.py: which tokens a rule is for."""

from typing import Any

import pytest

from gateway.access.rules import Rule

CLAIMS: dict[str, Any] = {
    "role": "customer",
    "level": 1,
    "half": 1.5,
    "yes": True,
    "nothing": None,
    "roles": ["staff", 7, True, ["nested"], {"of": "x"}],
    "empty": [],
    "object": {"role": "owner", "n": 1},
    "https://x.example/role": "agent",
    "a.b": "by name",
    "a": {"b": "by way"},
    "text1": "1",
}


@pytest.mark.parametrize(
    ("name", "value", "applies"),
    [
        ("role", "customer", True),
        ("role", "Customer", False),
        ("role", ["customer"], False),
        ("level", 1, True),
        ("level", 1.0, True),
        ("level", True, False),
        ("level", "1", False),
        ("text1", 1, False),
        ("yes", True, True),
        ("yes", 1, False),
        ("yes", "true", False),
        ("half", 1.5, True),
        ("nothing", None, True),
        ("absent", None, False),
        # A list that contains the value, and a list that is it.
        ("roles", "staff", True),
        ("roles", 7.0, True),
        ("roles", True, True),
        ("roles", 1, False),
        ("roles", "sta", False),
        ("roles", ["nested"], True),
        ("roles", "nested", False),
        ("roles", {"of": "x"}, True),
        ("roles", ["staff", 7, True, ["nested"], {"of": "x"}], True),
        ("roles", ["staff", 7], False),
        ("empty", [], True),
        ("empty", "x", False),
        # Objects are equal as a whole.
        ("object", {"n": 1.0, "role": "owner"}, True),
        ("object", {"role": "owner"}, False),
        ("object", {"role": "owner", "n": True}, False),
        # A name with dots is that claim's, and a way into objects where there is no such claim.
        ("https://x.example/role", "agent", True),
        ("object.role", "owner", True),
        ("object.absent", "owner", False),
        ("role.x", "customer", False),
        ("a.b", "by name", True),
        ("a.b", "by way", False),
    ],
)
def test_a_claim_has_to_have_the_value_as_json(name: str, value: Any, applies: bool) -> None:
    assert Rule({name: value}).applies_to(CLAIMS) is applies


def test_all_claims_have_to_have_their_values() -> None:
    assert Rule({"role": "customer", "level": 1}).applies_to(CLAIMS)
    assert not Rule({"role": "customer", "level": 2}).applies_to(CLAIMS)
    assert not Rule({"role": "customer", "absent": 1}).applies_to(CLAIMS)


def test_without_claims_a_rule_is_for_every_token() -> None:
    assert Rule().applies_to({})
    assert Rule().applies_to(CLAIMS)
