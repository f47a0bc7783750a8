"""What to do about an answer that can't be used, in sentences for whoever writes the configuration. Pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from gateway.cli.routes.keys import keys_of
from gateway.cli.routes.lists import Found, found_in, steps_of
from gateway.cli.routes.next_page import at
from gateway.cli.routes.texts import WORDS, Text, has_errors, text_of
from gateway.cli.routes.toml import one_line, toml_value
from gateway.ports.legacy_route import LegacyRoute

_MAX_PLACES = 4


class Refused(NamedTuple):
    """An answer that is no list: its status, and its header fields in any case."""

    status: int
    headers: Mapping[str, str]


def advice_on_failure(kind: str) -> list[str]:
    """What may help where no answer came, by the kind of failure (adapters/upstream/failures.py)."""
    said = _OF_FAILURES.get(kind)
    return [] if said is None else [said]


def advice_on_status(route: LegacyRoute, refused: Refused) -> list[str]:
    """What may help against an answer with another status than 200."""
    advise = _OF_STATUSES.get(refused.status)
    said = [] if advise is None else [advise(route, refused)]
    if refused.status >= 500:
        said.append("The upstream itself failed: its own log says why.")
    retry = refused.headers.get("Retry-After")
    if retry is not None:
        said.append(f"It says Retry-After: {one_line(retry)}, and the poll waits that long, an hour at most.")
    return said


def advice_on_body(route: LegacyRoute, kind: str, body: bytes, content_type: str) -> list[str]:
    """What may help where an answer can't be compared, by the kind of BadAnswer and what it holds."""
    text = text_of(body, content_type)
    if text.kind != "json":
        return [_of_no_json(text)]
    if kind in ("no_list", "not_an_object"):
        return _of_place(route, text)
    if kind in ("too_deep", "not_unicode"):
        return ["Let map give the members that matter, as text that JSON can have."]
    if kind in ("no_key", "bad_key", "duplicate_key"):
        return _of_key(route, text, kind)
    return []


def _of_no_json(text: Text) -> str:
    if text.kind == "html":
        return (
            "The answer is HTML, a page for people: is the path right, are credentials missing, or does the "
            'upstream want headers = { Accept = "application/json" }?'
        )
    if text.kind == "empty":
        return "The answer is empty: if that means that there are no items, the upstream should say 204."
    if text.kind == "too_deep":
        return "The answer is nested too deeply for events: let map give the members that matter."
    return (
        f"The answer is {WORDS[text.kind]}: a function that makes a list of it can be named as "
        'decode = "package.module:function".'
    )


def _of_place(route: LegacyRoute, text: Text) -> list[str]:
    if has_errors(text.value):
        return ["The answer tells errors, as GraphQL does: is the query in body right, and allowed?"]
    places = [found for found in found_in(text.value) if found.items][:_MAX_PLACES]
    if text.value is None or at(text.value, _path_of(route.items)) is None:
        return ['There is null where the items should be: if that means none, set empty = ["null"].']
    said = [_of_found(found, route) for found in places]
    if isinstance(text.value, dict) and route.shape != "single":
        said.append('If the answer is one thing and no list: shape = "single", and id = "…" or key.')
    if not places:
        said.append('If nothing there means that there are no items: empty = ["absent"].')
    return said


def _of_found(found: Found, route: LegacyRoute) -> str:
    shape = "" if found.shape == route.shape else f' and shape = "{found.shape}"'
    place = found.pointer or "the top"
    return f"There are {found.total} items at {place}: items = {toml_value(found.pointer)}{shape}."


def _of_key(route: LegacyRoute, text: Text, kind: str) -> list[str]:
    here = next((found for found in found_in(text.value) if found.path == _path_of(route.items)), None)
    if here is None or not here.items:
        return []
    guesses = [guess for guess in keys_of(here.items, route.entity) if guess.is_unique][:_MAX_PLACES]
    if not guesses:
        return ["No member of the items, nor two or three together, is unique in this answer."]
    named = [toml_value(list(guess.parts) if len(guess.parts) > 1 else guess.parts[0]) for guess in guesses]
    fault = "Unique in this answer" if kind == "duplicate_key" else "What can be a key in this answer"
    return [f"{fault}: key = {' or key = '.join(named)}."]


def _path_of(pointer: str) -> tuple[str, ...]:
    return steps_of(pointer) if pointer else ()


def _redirected(route: LegacyRoute, refused: Refused) -> str:
    location = urljoin(str(route.url.with_query(None)), refused.headers.get("Location", ""))
    parts, own = urlsplit(location), urlsplit(route.upstream)
    shown = one_line(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())
    if "login" in parts.path.lower() or "signin" in parts.path.lower() or "sso" in parts.path.lower():
        return f"It leads to {shown}, where people log in: the poll needs credentials (headers)."
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return f"It leads to {shown}: make that the upstream, or set follow_redirects = true."
    return f"It leads to {shown}, of another origin: make that the upstream."


def _unauthorized(route: LegacyRoute, refused: Refused) -> str:
    scheme = one_line(refused.headers.get("WWW-Authenticate", "Bearer").split(" ")[0].rstrip(","))
    if "authorization" in {name.lower() for name in route.headers}:
        return f"It does not take the credentials of headers.Authorization; it asks for {scheme}."
    return f'It asks for credentials: headers = {{ Authorization = "{scheme} ${{NAME}}" }}.'


def _wrong_method(route: LegacyRoute, refused: Refused) -> str:
    allowed = one_line(refused.headers.get("Allow", ""))
    other = next((method for method in ("GET", "POST") if method in allowed and method != route.method), None)
    other = other or ("POST" if route.method == "GET" else "GET")
    body = ", with the body that it wants" if other == "POST" else ""
    but = f" (but {allowed})" if allowed else ""
    return f'It does not take {route.method}{but}: set method = "{other}"{body}.'


def _conflict(route: LegacyRoute, refused: Refused) -> str:
    wanted = next((name for name in refused.headers if name.lower().endswith("session-id")), None)
    if wanted is None:
        return "It says that the request does not fit its state."
    field = f'{toml_value(wanted)} = "${{NAME}}"'
    return f"It wants to be sent the {one_line(wanted)} that it gives: headers = {{ {field} }}."


def _fixed(sentence: str) -> Callable[[LegacyRoute, Refused], str]:
    return lambda route, refused: sentence


_OF_STATUSES: Mapping[int, Callable[[LegacyRoute, Refused], str]] = {
    204: _fixed("It says that there is no content: if that means no items, set empty = [204]."),
    **dict.fromkeys((301, 302, 303, 307, 308), _redirected),
    400: _fixed(
        "It takes the request for wrong: does it want a query, a body, or another Host (public_url)?"
    ),
    401: _unauthorized,
    403: _fixed(
        "It does not let the poll in: are the credentials (headers) of somebody who may read the list?"
    ),
    404: _fixed(
        "There is nothing at that address: is the path right? If it means no items, set empty = [404]."
    ),
    405: _wrong_method,
    406: _fixed("It has no answer of the type that is asked for: set Accept in headers to one that it has."),
    407: _fixed("A proxy on the way asks for credentials: the gateway knows none of proxies."),
    409: _conflict,
    410: _fixed("What was there is gone for good, it says: is there a newer version of the address?"),
    415: _fixed("It does not take a body of that type: set content_type."),
    421: _fixed("It is asked by a name that it does not know: set public_url to one that it knows."),
    429: _fixed("It is asked too often: set a longer interval_seconds."),
}

_OF_FAILURES = {
    "refused": "Nothing listens there: is the upstream running, and are host and port right?",
    "name": "There is no such host: is it spelt right, and does this machine's resolver know it?",
    "tls": "If its certificate is of an authority of your own, name that in ca_file.",
    "unreachable": "Is there a way from this machine to that host?",
    "reset": "If it speaks https, the upstream has to begin with https://.",
    "not_http": "Does it speak https (https://), or another protocol on that port?",
    "timeout": "If it needs longer, set timeout_seconds, and an interval_seconds above that.",
    "too_large": "If that is right, set max_body_bytes; or ask for less by query.",
    "other_origin": "Its pages name another address than upstream: set public_url to the one that they name.",
    "page_loop": "Its pages go in a circle: is pages right?",
    "too_many_pages": "Set max_pages, or ask for more items a page by query.",
    "bad_page": "What pages.next points to is no address: is the pointer right?",
}
