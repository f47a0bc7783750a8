"""What is said of an upstream's answer that can't be used."""

from gateway.errors import UpstreamError


class BadAnswer(UpstreamError):
    """The upstream's answer can't be used; `kind` names the reason for counters and log lines."""

    title = "The upstream's answer can't be used"

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
