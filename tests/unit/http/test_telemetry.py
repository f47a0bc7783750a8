"""gateway/http/telemetry.py: who reports. tests/integration/test_telemetry.py has the rest."""

import pytest
from aiohttp.test_utils import make_mocked_request

from flags.guard.who import Who
from gateway.access.principal import OPEN, Principal
from gateway.core.credentials import Credentials
from gateway.http.principal import PRINCIPAL
from gateway.http.telemetry import who_of

ADDRESS = "192.0.2.1"


@pytest.mark.parametrize(
    ("principal", "who"),
    [
        (Principal(Credentials(subject="ana", token_id="t")), Who("s:ana")),
        (Principal(Credentials(key="shop")), Who("a:192.0.2.1", ADDRESS)),
        (Principal(), Who("a:192.0.2.1", ADDRESS)),
        (OPEN, Who("a:192.0.2.1", ADDRESS)),
    ],
)
def test_who_reports_is_the_token_s_subject_else_the_address(principal: Principal, who: Who) -> None:
    request = make_mocked_request("POST", "/")
    request[PRINCIPAL] = principal
    assert who_of(request, ADDRESS) == who
