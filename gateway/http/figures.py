"""Figures in answers, with the process and machine that counted them: workers and nodes count apart."""

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

    def wire(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "worker": self.worker,
            "workers": self.workers,
            "sharesLog": self.shares_log,
        }


PROCESS = web.AppKey("process", Process)


def figures_response(request: web.Request, figures: Mapping[str, Any]) -> web.Response:
    """The figures as JSON, with `answeredBy`, the process whose they are."""
    return json_response({**figures, "answeredBy": request.app[PROCESS].wire()})
