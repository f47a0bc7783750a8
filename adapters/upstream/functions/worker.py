"""The process in which an operator's own functions run, apart from the gateway. It imports nothing of it.

It is a file to be run, and told by frames on its standard input what to do; it answers with frames on its
standard output. A frame is a length, 8 bytes, and so many bytes. First comes what to import (`Start`), then
one list after the other (`Order`). The functions themselves find both streams empty, and what they print
goes nowhere: it may be what nobody is to see.
"""

import contextlib
import importlib
import operator
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, TypedDict

import orjson

LENGTH = struct.Struct(">Q")
MOST_BYTES = 64 * 1024 * 1024
"""How long the text of all items may be."""
_ROOM_BYTES = 512 * 1024 * 1024
"""How much memory the functions may take, beyond what there is once they are imported."""
DECODING, MAPPING = b"decode", b"map"
"""Said before a function gets its turn, so that whoever waits knows which one it was that hung."""
_ABSENT = object()
_EMPTY = {"list": b"[]", "map": b"{}", "single": b"null"}


class Start(TypedDict):
    """What to import, `package.module:function` each, and where to look for it first."""

    path: str
    decode: str | None
    map: str | None


class Order(TypedDict):
    """What to make of the bodies that follow, a frame each; within `seconds`, or the process ends."""

    bodies: int
    content_type: str
    items: str
    shape: str
    empty: Sequence[str | int]
    seconds: float


class Reply(TypedDict):
    """What came of a start, or of an order; the text follows in a frame, where `kind` is None.

    `kind` and `detail` are those of a BadAnswer. `failed` says how many items there are in whose place null
    stands, and `first` why in that of the first one.
    """

    kind: str | None
    detail: str
    failed: int
    first: str


class Unusable(Exception):
    """Nothing can be made of what there is, for a reason of this kind."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.reply = Reply(kind=kind, detail=detail, failed=0, first="")


def main() -> None:
    """Serves orders until the standard input ends, as it does with the gateway."""
    given, told = _own_streams()
    frame = read_frame(given)
    if frame is None:
        return
    start: Start = orjson.loads(frame)
    sys.path.insert(0, start["path"])
    try:
        functions = Functions(start)
    except Unusable as error:
        _send(told, orjson.dumps(error.reply))
        return
    _bound_memory()
    _send(told, orjson.dumps(Reply(kind=None, detail="", failed=0, first="")))
    while (frame := read_frame(given)) is not None:
        order: Order = orjson.loads(frame)
        # Whoever is to end a process that hangs may be gone by then.
        signal.setitimer(signal.ITIMER_REAL, 2 * order["seconds"])
        bodies = [read_frame(given) or b"" for _ in range(order["bodies"])]
        _serve(functions, order, bodies, told)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _serve(functions: "Functions", order: Order, bodies: Sequence[bytes], told: IO[bytes]) -> None:
    try:
        text, failures = functions.text_of(order, bodies, lambda turn: _send(told, turn))
    except Unusable as error:
        _send(told, orjson.dumps(error.reply))
        return
    first = failures[0] if failures else ""
    _send(told, orjson.dumps(Reply(kind=None, detail="", failed=len(failures), first=first)))
    _send(told, text)


class Functions:
    """The functions of a `Start`, imported. Raises Unusable, which says why one of them can't be."""

    def __init__(self, start: Start) -> None:
        self._path = start["path"]
        self._decode = self._imported("decode", start["decode"])
        self._map = self._imported("map", start["map"])

    def text_of(
        self, order: Order, bodies: Sequence[bytes], turn: Callable[[bytes], None]
    ) -> tuple[bytes | bytearray, list[str]]:
        """The items of the bodies as JSON, and why there is null in the place of some of them.

        That is one text, or a sequence of them where there are several bodies (RFC 7464). `turn` is told what
        comes next. Raises Unusable.
        """
        turn(DECODING)
        found = [self._items(order, body) for body in bodies]
        if self._map is not None:
            turn(MAPPING)
        failures: list[str] = []
        # Appended to, for what orjson gives takes 4 KB and more until it is copied, however short it is.
        text = bytearray()
        for items in found:
            if len(found) > 1:
                text += b"\x1e"
            for part in self._parts(order["shape"], items, failures):
                text += part
                if len(text) > MOST_BYTES:
                    detail = f"What the functions made of the upstream's answer is over {MOST_BYTES} bytes."
                    raise Unusable("decode" if self._map is None else "map", detail)
            if len(found) > 1:
                text += b"\n"
        return text, failures

    def _items(self, order: Order, body: bytes) -> Any:
        """What holds the items of one body: a list, an object, or None where there are none."""
        value = _at(self._decoded(body, order["content_type"]), order["items"])
        if (value is _ABSENT and "absent" in order["empty"]) or (value is None and "null" in order["empty"]):
            return None
        if order["shape"] == "list" and isinstance(value, tuple):
            value = list(value)
        wanted, name = (list, "list") if order["shape"] == "list" else (dict, "object")
        if not isinstance(value, wanted):
            detail = f"The upstream's answer has no {name} where its items should be."
            raise Unusable("no_list", detail)
        return value

    def _decoded(self, body: bytes, content_type: str) -> Any:
        if self._decode is not None:
            return _called("decode", self._decode, body, content_type)
        try:
            return orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError:
            raise Unusable("not_json", "The upstream's answer is not JSON.") from None

    def _parts(self, shape: str, items: Any, failures: list[str]) -> Iterator[bytes]:
        if items is None:
            yield _EMPTY[shape]
        elif shape == "single":
            yield self._mapped(items)
        elif shape == "list":
            for index, item in enumerate(items):
                yield b"," if index else b"["
                yield self._or_null(item, failures)
            yield b"]" if items else b"[]"
        else:
            for index, (name, item) in enumerate(items.items()):
                yield b"," if index else b"{"
                yield _json("decode", name) + b":"
                yield self._or_null(item, failures)
            yield b"}" if items else b"{}"

    def _or_null(self, item: Any, failures: list[str]) -> bytes:
        try:
            return self._mapped(item)
        except Unusable as error:
            failures.append(error.reply["detail"])
            return b"null"

    def _mapped(self, item: Any) -> bytes:
        if self._map is None:
            return _json("decode", item)
        return _json("map", _called("map", self._map, item))

    def _imported(self, kind: str, name: str | None) -> Callable[..., Any] | None:
        if name is None:
            return None
        module_name, _, function_name = name.partition(":")
        try:
            function = operator.attrgetter(function_name)(importlib.import_module(module_name))
        except BaseException as error:  # noqa: BLE001 - whatever it was, and SystemExit too, is to be told
            # Those are about names; of any other error the text may hold anything.
            is_plain = isinstance(error, ImportError | AttributeError | SyntaxError)
            why = str(error) if is_plain else f"{type(error).__name__}{_place(error, None)}"
            detail = f"{kind}: {name} can't be imported, from {self._path} first: {why}"
            raise Unusable(kind, detail) from None
        if not callable(function):
            raise Unusable(kind, f"{kind}: {name} is no function")
        called: Callable[..., Any] = function
        return called


def _called(kind: str, function: Callable[..., Any], *given: Any) -> Any:
    try:
        return function(*given)
    except BaseException as error:  # noqa: BLE001 - whatever it was, and SystemExit too, is to be told
        place = _place(error, getattr(function, "__module__", None))
        raise Unusable(kind, f"The function of {kind} raised {type(error).__name__}{place}.") from None


def _json(kind: str, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, MemoryError) as error:
        # orjson names the type, and never the value.
        raise Unusable(kind, f"The function of {kind} gave something that is no JSON: {error}.") from None


def _place(error: BaseException, module: str | None) -> str:
    """Where an error comes from: the innermost line of `module` that it passed, or else of any."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    found = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename != __file__ and "importlib" not in frame.f_code.co_filename
    ]
    own = [(name, line) for name, line in found if name == file]
    if not found:
        return ""
    name, line = (own or found)[-1]
    return f" at {os.path.basename(name)}, line {line}"


def _at(value: Any, pointer: str) -> Any:
    """The value at a pointer (RFC 6901); _ABSENT where there is none."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name, _ABSENT)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return _ABSENT
    return value


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """The streams to the gateway; the standard ones lead nowhere from here on."""
    given, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    os.register_at_fork(after_in_child=lambda: _leave(given, told))
    return given, told


def _leave(*streams: IO[bytes]) -> None:
    """Takes the streams to the gateway from a process that a function forked.

    Its answers would be taken for this one's, and while it lives nobody would see that this one has ended.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in streams:
        os.dup2(nowhere, stream.fileno(), inheritable=False)
    os.close(nowhere)


def _bound_memory() -> None:
    """Bounds what the functions may take, and leaves no memory of theirs on the disk where they crash."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where there is no such file, there is no such bound.
    with contextlib.suppress(FileNotFoundError), open("/proc/self/statm", "rb") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = used + _ROOM_BYTES
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def read_frame(stream: IO[bytes], most: int | None = None) -> bytes | None:
    """The next frame; None where the stream ends, and for one that says that it is longer than `most`."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if most is not None and length > most:
        return None
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: IO[bytes], body: bytes | bytearray) -> None:
    """Writes a frame, which `flush` sends."""
    stream.write(LENGTH.pack(len(body)))
    stream.write(body)


def _send(stream: IO[bytes], body: bytes | bytearray) -> None:
    write_frame(stream, body)
    stream.flush()


if __name__ == "__main__":
    main()
