"""What browsers load: made of the parts, and small enough to be loaded."""

import gzip

import pytest

from tests.support.client_bundle import BUNDLES, STATIC, build

MOST_BYTES = {"tidegate.js": 12 * 1024, "shared.js": 3 * 1024, "writes.js": 4_500, "auto_refresh.js": 1024}
"""Gzipped, as the gateway sends them."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return build(tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_is_what_its_parts_give(built: dict[str, str], name: str) -> None:
    assert (STATIC / name).read_text() == built[name], "The parts have changed: run make client."


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_is_small(name: str) -> None:
    assert len(gzip.compress((STATIC / name).read_bytes(), mtime=0)) < MOST_BYTES[name]


def test_what_a_page_loads_at_once_is_one_file(built: dict[str, str]) -> None:
    assert "import{" not in built["tidegate.js"]
    assert 'from"' not in built["tidegate.js"]
