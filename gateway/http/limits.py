"""The limits as requests meet them: whose each is, and where it comes from."""

from aiohttp import web

from gateway.access.admission import Admission, CallerRate, Entry
from gateway.core.errors import Overloaded
from gateway.http.client_address import Clients
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead

FULL = web.RequestKey("full", bool)
"""Set where a limit of all callers refused the request: a single one can use that up."""


class RequestLimits:
    """Lets requests in, as `admission` does and raises."""

    def __init__(self, admission: Admission, clients: Clients) -> None:
        self._admission = admission
        self._clients = clients

    def stream(self, request: RequestHead, address: str | None) -> Entry:
        return self._admission.stream(principal_of(request).credentials, address)

    def long_poll(self, request: RequestHead) -> Entry:
        """A long poll. Where there is no room for it the request is marked with `FULL`."""
        try:
            return self._admission.long_poll(principal_of(request).credentials, self.address_of(request))
        except Overloaded:
            request[FULL] = True
            raise

    def check_rate(self, rate: CallerRate, request: RequestHead, count: int = 1) -> None:
        if self._admission.limits(rate):
            credentials = principal_of(request).credentials
            self._admission.check_rate(rate, credentials, self.address_of(request), count)

    def address_of(self, request: RequestHead) -> str | None:
        """The client's address, whatever proxies it came through."""
        return self._clients.address_of(request)
