"""Figures in answers, with the process and machine that answers: some it counted alone, some are sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.http.admin.flags import json_response


@dataclass(frozen=True, slots=True)
class Process:
    """Which process answers: worker `worker` of `workers` of the machine `node`; None for the only one.

    `shares_log` says that other nodes may serve the same events, each with figures of its own.
    """

    node: str
    shares_log: bool
    worker: int | None = None
    workers: int = 1

    @property
    def name(self) -> str:
        """What people call it."""
        return self.node if self.worker is None else f"{self.node} worker {self.worker}"

    def wire(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "worker": self.worker,
            "workers": self.workers,
            "sharesLog": self.shares_log,
        }


PROCESS = web.AppKey("process", Process)


def figures_response(request: web.Request, figures: Mapping[str, Any]) -> web.Response:
    """The figures as JSON, with `answeredBy`, the process that gave them."""
    return json_response({**figures, "answeredBy": request.app[PROCESS].wire()})
