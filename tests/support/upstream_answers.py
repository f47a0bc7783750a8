"""Answers of upstreams of many makes, and what a route for them has to say."""

from dataclasses import dataclass, field
from typing import Any

import orjson
from multidict import CIMultiDict

from gateway.cli.routes.guess import Answer
from gateway.cli.routes.request import Asked


@dataclass(frozen=True)
class Case:
    """What was asked, one answer or two, and those settings of the route that matter."""

    asked: Asked
    bodies: tuple[Any, ...]
    expected: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> list[Answer]:
        """The answers as they came."""
        headers = CIMultiDict({"Content-Type": "application/json", **self.headers})
        return [
            Answer(200, headers, body if isinstance(body, bytes) else orjson.dumps(body))
            for body in self.bodies
        ]


def _numbered(count: int, **members: Any) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"n{number % 3}", **members} for number in range(1, count + 1)]


_K8S = {"kind": "Pod", "metadata": {"name": "a", "namespace": "x", "uid": "u-1", "labels": {"app": "a"}}}

CASES: dict[str, Case] = {
    "json-server": Case(
        Asked("http://127.0.0.1:3000/posts"),
        (_numbered(5, title="t", views=3),),
        {"component": "posts", "entity": "post", "path": "/posts", "items": "", "key": "id"},
    ),
    "orders": Case(
        Asked("http://shop.example/api/v1/orders"),
        ({"docs": [{"orderID": "A-1", "customer_id": 7, "orderStage": "new"}], "totalDocs": 1},),
        {"component": "orders", "path": "/api/v1/orders", "items": "/docs", "key": "orderID"},
    ),
    "drf": Case(
        Asked("http://127.0.0.1:8000/api/tickets/?page_size=2&status=open"),
        (
            {
                "count": 5,
                "next": "http://127.0.0.1:8000/api/tickets/?page=2&page_size=2",
                "previous": None,
                "results": _numbered(2, status="open", created_at="2026-01-01T00:00:00Z"),
            },
        ),
        {
            "path": "/api/tickets/",
            "upstream": "http://127.0.0.1:8000/api/tickets/",
            "query": "page_size=2&status=open",
            "vary_query": ["page_size", "status"],
            "entity": "ticket",
            "items": "/results",
            "key": "id",
            "pages": {"next": "/next"},
        },
        {"Vary": "Accept, Cookie", "Allow": "GET, POST, HEAD, OPTIONS"},
    ),
    "drf, the last page": Case(
        Asked("http://127.0.0.1:8000/api/tickets/"),
        ({"count": 0, "next": None, "previous": None, "results": []},),
        {"items": "/results", "key": "id", "pages": {"next": "/next"}},
    ),
    "graphql": Case(
        Asked("http://127.0.0.1:4000/graphql", "POST", '{"query": "{ orders { nodes { id stage } } }"}'),
        (
            {
                "data": {
                    "orders": {
                        "nodes": [{"id": "gid://1", "stage": "new"}],
                        "pageInfo": {"hasNextPage": False},
                    }
                }
            },
        ),
        {
            "component": "orders",
            "entity": "order",
            "path": "/api/orders",
            "upstream": "http://127.0.0.1:4000/graphql",
            "method": "POST",
            "body": '{"query": "{ orders { nodes { id stage } } }"}',
            "items": "/data/orders/nodes",
            "key": "id",
        },
    ),
    "graphql with edges": Case(
        Asked("http://127.0.0.1:4000/graphql", "POST", '{"query": "…"}'),
        (
            {
                "data": {
                    "issues": {
                        "edges": [{"cursor": "b", "node": {"id": "a"}}, {"cursor": "c", "node": {"id": "b"}}]
                    }
                }
            },
        ),
        {"component": "issues", "items": "/data/issues/edges", "key": "/node/id"},
    ),
    "alertmanager": Case(
        Asked("http://127.0.0.1:9093/api/v2/alerts"),
        (
            [
                {
                    "annotations": {},
                    "endsAt": "2026-01-01T00:05:00.000Z",
                    "fingerprint": fingerprint,
                    "startsAt": "2026-01-01T00:00:00.000Z",
                    "updatedAt": "2026-01-01T00:01:00.000Z",
                    "generatorURL": "",
                    "labels": {"alertname": "Up", "instance": fingerprint},
                    "status": {"state": "active"},
                }
                for fingerprint in ("a1", "b2")
            ],
        ),
        {"component": "alerts", "entity": "alert", "items": "", "key": "fingerprint"},
    ),
    "prometheus targets": Case(
        Asked("http://127.0.0.1:9090/api/v1/targets"),
        tuple(
            {
                "status": "success",
                "data": {
                    "activeTargets": [
                        {
                            "discoveredLabels": {"__address__": f"h{n}:9100"},
                            "labels": {"instance": f"h{n}:9100", "job": "node"},
                            "scrapePool": "node",
                            "scrapeUrl": f"http://h{n}:9100/metrics",
                            "lastScrape": f"2026-01-01T00:00:0{moment}Z",
                            "lastScrapeDuration": 0.1 * moment,
                            "health": "up",
                        }
                        for n in (1, 2, 3)
                    ],
                    "droppedTargets": [],
                },
            }
            for moment in (1, 2)
        ),
        {
            "component": "targets",
            "items": "/data/activeTargets",
            "key": "scrapeUrl",
            "ignore": ["/lastScrape", "/lastScrapeDuration"],
        },
    ),
    "prometheus rules": Case(
        Asked("http://127.0.0.1:9090/api/v1/rules"),
        (
            {
                "status": "success",
                "data": {
                    "groups": [
                        {"name": name, "file": file, "rules": [], "interval": 60, "evaluationTime": 0.001}
                        for name, file in (("a", "x.yml"), ("a", "y.yml"), ("b", "x.yml"))
                    ]
                },
            },
        ),
        {"component": "rules", "items": "/data/groups", "key": ["file", "name"]},
    ),
    "syncthing": Case(
        Asked("http://127.0.0.1:8384/rest/stats/folder", headers=(("X-API-Key", "hunter2"),)),
        (
            {
                "docs-x7": {"lastFile": {"filename": "a", "at": "2026"}, "lastScan": "2026-01-01T00:00:00Z"},
                "pics-q2": {"lastFile": {"filename": "b", "at": "2026"}, "lastScan": "2026-01-02T00:00:00Z"},
            },
        ),
        {
            "component": "folder",
            "headers": {"X-API-Key": "${FOLDER_X_API_KEY}"},
            "shape": "map",
            "items": "",
        },
    ),
    "transmission": Case(
        Asked(
            "http://127.0.0.1:9091/transmission/rpc",
            "POST",
            '{"method": "torrent-get", "arguments": {"fields": ["id", "hashString", "name"]}}',
            (("X-Transmission-Session-Id", "hunter2"),),
        ),
        (
            {
                "arguments": {
                    "torrents": [
                        {"hashString": "ff0", "id": 1, "name": "a"},
                        {"hashString": "ff1", "id": 2, "name": "a"},
                    ]
                },
                "result": "success",
            },
        ),
        {
            "component": "torrents",
            "entity": "torrent",
            "items": "/arguments/torrents",
            "key": "id",
            "headers": {"X-Transmission-Session-Id": "${TORRENTS_X_TRANSMISSION_SESSION_ID}"},
        },
    ),
    "jupyter": Case(
        Asked("http://127.0.0.1:8888/api/contents?token=hunter2"),
        (
            {
                "name": "",
                "path": "",
                "last_modified": "2026-01-01T00:00:00Z",
                "created": "2026-01-01T00:00:00Z",
                "format": "json",
                "mimetype": None,
                "size": None,
                "writable": True,
                "type": "directory",
                "content": [
                    {"name": "a.ipynb", "path": "a.ipynb", "type": "notebook", "size": 3},
                    {"name": "b.ipynb", "path": "b.ipynb", "type": "notebook", "size": 3},
                ],
            },
        ),
        {"component": "contents", "items": "/content", "key": "name", "query": "token=${CONTENTS_TOKEN}"},
    ),
    "github": Case(
        Asked(
            "https://api.github.example/repos/o/r/issues?state=open&_=17",
            headers=(("Authorization", "Bearer hunter2"), ("Accept", "application/vnd.github+json")),
        ),
        ([{"id": 1, "node_id": "x", "number": 12, "state": "open", "user": {"id": 3, "login": "a"}}],),
        {
            "component": "issues",
            "key": "id",
            "headers": {"Authorization": "Bearer ${ISSUES_TOKEN}", "Accept": "application/vnd.github+json"},
            "pages": {"link": True},
            "query": "state=open",
            "vary_query": ["state"],
            "ignore_query": ["_"],
        },
        {
            "Link": '<https://api.github.example/x?page=2>; rel="next", <https://x/?page=9>; rel="last"',
            "ETag": 'W/"a"',
        },
    ),
    "json:api": Case(
        Asked("http://h/articles"),
        (
            {
                "links": {"self": "http://h/articles", "next": "http://h/articles?page[offset]=2"},
                "data": [{"type": "articles", "id": "1", "attributes": {"title": "a"}}],
                "included": [{"type": "people", "id": "9", "attributes": {}}],
            },
        ),
        {"component": "articles", "items": "/data", "key": "id", "pages": {"next": "/links/next"}},
    ),
    "hal": Case(
        Asked("http://h/orders"),
        (
            {
                "_links": {"self": {"href": "/orders"}, "next": {"href": "/orders?page=2"}},
                "_embedded": {
                    "orders": [
                        {"_links": {"self": {"href": "/orders/123"}}, "total": 30.0, "status": "shipped"},
                        {"_links": {"self": {"href": "/orders/124"}}, "total": 20.0, "status": "open"},
                    ]
                },
                "currentlyProcessing": 14,
            },
        ),
        {
            "items": "/_embedded/orders",
            "key": "/_links/self/href",
            "pages": {"next": "/_links/next/href"},
        },
    ),
    "odata": Case(
        Asked("http://h/odata/Products"),
        (
            {
                "@odata.context": "http://h/odata/$metadata#Products",
                "value": [
                    {"ProductID": 1, "Name": "Chai", "Price": 18.0},
                    {"ProductID": 2, "Name": "Chang", "Price": 19.0},
                ],
                "@odata.nextLink": "http://h/odata/Products?$skiptoken=2",
            },
        ),
        {
            "component": "Products",
            "entity": "Product",
            "items": "/value",
            "key": "ProductID",
            "pages": {"next": "/@odata.nextLink"},
        },
    ),
    "elasticsearch": Case(
        Asked("http://127.0.0.1:9200/orders/_search"),
        (
            {
                "took": 5,
                "timed_out": False,
                "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
                "hits": {
                    "total": {"value": 20, "relation": "eq"},
                    "max_score": 1.0,
                    "hits": [
                        {"_index": "orders", "_id": "0", "_score": 1.0, "_source": {"user": {"id": "k"}}}
                    ],
                },
            },
        ),
        {"items": "/hits/hits", "key": "_id"},
    ),
    "kubernetes": Case(
        Asked("https://127.0.0.1:6443/api/v1/pods"),
        (
            {
                "kind": "PodList",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": "1452"},
                "items": [
                    _K8S,
                    {
                        **_K8S,
                        "metadata": {"name": "a", "namespace": "y", "uid": "u-2", "labels": {"app": "a"}},
                    },
                ],
            },
        ),
        {"component": "pods", "entity": "pod", "items": "/items", "key": "/metadata/uid"},
    ),
    "kubernetes, one": Case(
        Asked("https://127.0.0.1:6443/api/v1/namespaces/x/pods/a"),
        ({"kind": "Pod", "apiVersion": "v1", **_K8S, "status": {"phase": "Running"}},),
        {"shape": "single", "key": "/metadata/uid"},
    ),
    "a status": Case(
        Asked("http://h/api/status"),
        (
            {"state": "idle", "uptimeSeconds": 10, "queue": 3, "version": "1.0"},
            {"state": "idle", "uptimeSeconds": 11, "queue": 3, "version": "1.0"},
        ),
        {"shape": "single", "items": "", "id": "status", "ignore": ["/uptimeSeconds"]},
    ),
    "a status with checks": Case(
        Asked("http://h/health"),
        (
            {
                "status": "up",
                "version": "1",
                "node": "a",
                "region": "eu",
                "checks": [{"name": "db", "ok": True}],
            },
        ),
        {"shape": "single", "id": "health"},
    ),
    "one order": Case(
        Asked("http://h/orders/17"),
        ({"id": 17, "stage": "new", "lines": [{"sku": "a", "n": 1}]},),
        {"shape": "single", "key": "id", "entity": "order", "path": "/orders/17"},
    ),
    "nothing yet": Case(Asked("http://h/orders"), ([],), {"items": "", "key": "id"}),
    "null": Case(Asked("http://h/orders"), (None,), {"events": "none"}),
    "numbers": Case(Asked("http://h/series"), ([1, 2, 3],), {"events": "none"}),
    "csv": Case(
        Asked("http://h/export.csv"),
        (b"id,name\n1,a\n2,b\n",),
        {"component": "export", "path": "/export.csv", "events": "none"},
        {"Content-Type": "text/csv"},
    ),
    "xml": Case(
        Asked("http://h/orders.xml"),
        (b'<?xml version="1.0"?><orders><order id="1"/></orders>',),
        {"component": "orders", "events": "none"},
        {"Content-Type": "application/xml"},
    ),
    "ndjson": Case(
        Asked("http://h/orders"),
        (b'{"id": 1}\n{"id": 2}\n',),
        {"events": "none"},
        {"Content-Type": "application/x-ndjson"},
    ),
    "html": Case(
        Asked("http://h/orders"),
        (b"<!doctype html><title>Login</title>",),
        {"events": "none"},
        {"Content-Type": "text/html"},
    ),
    "below the gateway's own": Case(
        Asked("http://h/metrics"), (_numbered(2),), {"component": "metrics", "path": "/api/metrics"}
    ),
    "an odd address": Case(
        Asked("http://h/a%20b/%C3%A4?name=%C3%A4&q=a b&x=${y}"),
        (_numbered(2),),
        {"component": "a-b", "path": "/api/a-b", "query": "name=%C3%A4&q=a%20b&x=${y}"},
    ),
}
