"""What /metrics shows of the keys that tokens are checked with. docs/operations.md lists it."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.access.jwks import RemoteKeys


class AccessCollector(Collector):
    """Nothing where no keys are fetched, which `remote_keys` None says."""

    def __init__(self, remote_keys: RemoteKeys | None) -> None:
        self._remote_keys = remote_keys

    def collect(self) -> Iterable[Metric]:
        keys = self._remote_keys
        if keys is None:
            return
        totals = [
            ("tidegate_jwks_fetches", "Times that the issuer's keys were asked for.", keys.fetches),
            ("tidegate_jwks_fetch_failures", "Those that gave no keys.", keys.failures),
        ]
        for name, text, value in totals:
            yield CounterMetricFamily(name, text, value=value)
