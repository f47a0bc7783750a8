"""The limits as requests meet them: whose each is, and where it comes from."""

from gateway.access.admission import Admission, CallerRate, Entry
from gateway.http.client_address import Clients
from gateway.http.principal import principal_of
from gateway.http.request_head import RequestHead


class RequestLimits:
    """Lets requests in, as `admission` does and raises."""

    def __init__(self, admission: Admission, clients: Clients) -> None:
        self._admission = admission
        self._clients = clients

    def stream(self, request: RequestHead, address: str | None) -> Entry:
        return self._admission.stream(principal_of(request).credentials, address)

    def long_poll(self, request: RequestHead) -> Entry:
        return self._admission.long_poll(principal_of(request).credentials, self.address_of(request))

    def check_rate(self, rate: CallerRate, request: RequestHead, count: int = 1) -> None:
        if self._admission.limits(rate):
            credentials = principal_of(request).credentials
            self._admission.check_rate(rate, credentials, self.address_of(request), count)

    def address_of(self, request: RequestHead) -> str | None:
        """The client's address, whatever proxies it came through."""
        return self._clients.address_of(request)
