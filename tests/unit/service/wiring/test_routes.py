"""gateway/service/wiring/routes.py: files and functions of routes, and which of them are not there."""

from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import ConfigError
from gateway.service.app import create_app
from gateway.service.settings import Settings
from gateway.service.wiring.routes import check_routes, routes_of

FUNCTIONS = "def decode(body, content_type):\n    return []\n\n\nnothing = 1\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "shop_functions.py").write_text(FUNCTIONS)
    (tmp_path / "broken_functions.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "no.pem").write_text("hunter2\n")
    return tmp_path


def settings(directory: Path, **given: Any) -> Settings:
    base = {"component": "c", "upstream": "https://backend.example/o", "key": "id", "shared": True}
    routes = [{**base, "path": "/a", "entity": "a"}, {**base, "path": "/b", "entity": "b", **given}]
    return Settings.model_validate({"legacy": routes}, context={"base_dir": directory})


def test_files_and_functions_that_are_there_are_taken(directory: Path) -> None:
    of = settings(directory, decode="shop_functions:decode")
    check_routes(of)
    assert routes_of(of)[1].functions.decode == "shop_functions:decode"


def test_a_gateway_does_not_start_without_them(directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"legacy\[1\]\.decode: no_functions:decode can't be imported"):
        create_app(settings(directory, decode="no_functions:decode"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ca_file": "gone.pem"}, "legacy[1].ca_file: {}/gone.pem can't be used: No such file or directory."),
        (
            {"ca_file": "no.pem"},
            "legacy[1].ca_file: {}/no.pem can't be used: it must hold a certificate, in PEM.",
        ),
        (
            {"cert_file": "no.pem", "key_file": "no.pem"},
            "legacy[1].cert_file: {}/no.pem with the key {}/no.pem can't be used: it must hold a certificate "
            "and its key, without a password, in PEM.",
        ),
        (
            {"decode": "no_functions:decode"},
            "legacy[1].decode: no_functions:decode can't be imported, from {} first",
        ),
        (
            {"map": "shop_functions:gone"},
            "legacy[1].map: shop_functions:gone can't be imported, from {} first",
        ),
        ({"map": "shop_functions:nothing"}, "legacy[1].map: shop_functions:nothing is no function."),
        (
            {"decode": "broken_functions:x"},
            "legacy[1].decode: broken_functions:x can't be imported, from {} first",
        ),
    ],
)
def test_what_is_not_there_is_named_with_where_it_was_looked_for(
    directory: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as failure:
        check_routes(settings(directory, **given))
    assert failure.value.detail.startswith(said.replace("{}", str(directory)))
    assert "hunter2" not in failure.value.detail
    assert failure.value.detail.endswith(".")
    assert not failure.value.detail.endswith("..")
