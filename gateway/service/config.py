"""Settings out of a TOML file, TIDEGATE_* variables and the command line; a wrong one is one clear sentence.

The command line wins over the environment, the environment over the file (docs/protocol.md, section 12).
Tables are merged key by key; lists and plain values replace one another whole. What may be set is
gateway/service/settings.py's business.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from gateway.core.errors import ConfigError
from gateway.core.redaction import redacted
from gateway.service.setting_types import KeyPath
from gateway.service.settings import Settings
from gateway.service.variables import CantFillIn, route_filled_in

__all__ = ["PREFIX", "Settings", "load_settings"]

PREFIX = "TIDEGATE_"
"""Every environment variable that begins so, but for one, is a setting: TIDEGATE_SERVER__PORT is
`server.port`."""

TOKEN_VARIABLE = "TIDEGATE_TOKEN"
"""The one that is none: the token that commands present. It may well be set where a gateway starts, too."""

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_MAX_SHOWN = 64
_MISSING = object()


class _Source(NamedTuple):
    """Some of the settings, and how a sentence says where the one at a path was set."""

    values: Mapping[str, Any]
    where: Callable[[KeyPath], str]


def load_settings(
    path: Path | None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings of the file `path` (None: no file), of `environ` and of `overrides`, the strongest last.

    `overrides` holds the command line's values, nested as in the file: `{"server": {"port": 9000}}`.
    A variable's name is in lower case what the file says, with two underscores for each dot; text is taken
    as it is, everything else is read as JSON. Files that the settings name are relative to the directory of
    `path`, or to the current one where there is no file.

    Raises ConfigError whose detail is one sentence that names the key, where it was set, what is wrong and
    what is allowed: for a file that can't be read or parsed, an unknown key or variable, a wrong value.
    """
    sources = (
        _Source(overrides or {}, lambda _: " on the command line"),
        _environment(environ),
        _file(path),
    )
    merged: dict[str, Any] = {}
    for source in reversed(sources):
        merged = _merge(merged, source.values)
    base_dir = Path.cwd() if path is None else path.resolve().parent
    try:
        return Settings.model_validate(
            _with_variables(merged, environ, sources), context={"base_dir": base_dir}
        )
    except ValidationError as error:
        raise ConfigError(_sentence(error, merged, sources)) from None


def _with_variables(
    merged: Mapping[str, Any], environ: Mapping[str, str], sources: Iterable[_Source]
) -> dict[str, Any]:
    """`merged` with the environment's values in the legacy routes. Raises ConfigError where one is missing.

    What is no route at all is left for the model to refuse.
    """
    routes = merged.get("legacy")
    if not isinstance(routes, list):
        return dict(merged)
    filled = []
    for index, route in enumerate(routes):
        try:
            filled.append(route_filled_in(route, environ) if isinstance(route, Mapping) else route)
        except CantFillIn as error:
            path: KeyPath = ("legacy", index, *error.path)
            raise ConfigError(f"{_key(path)}{_where(path, sources)} {error}.") from None
    return {**merged, "legacy": filled}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _file(path: Path | None) -> _Source:
    if path is None:
        return _Source({}, lambda _: "")
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"The configuration file {path} does not exist.") from None
    except OSError as error:
        raise ConfigError(f"The configuration file {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"The configuration file {path} is not UTF-8: the byte at offset {error.start} can't be decoded."
        ) from None
    try:
        return _Source(tomllib.loads(text), lambda _: f" in {path}")
    except tomllib.TOMLDecodeError as error:
        lines = text.split("\n")
        end = f"(at the end of the file, line {len(lines)}, column {len(lines[-1]) + 1})"
        problem = str(error).replace("(at end of document)", end)
        raise ConfigError(f"The configuration file {path} is not valid TOML: {problem}.") from None
    except (ValueError, RecursionError) as error:
        # tomllib lets int()'s refusal of more than 4,300 digits through, and recurses into arrays.
        raise ConfigError(f"The configuration file {path} can't be parsed: {error}.") from None


def _environment(environ: Mapping[str, str]) -> _Source:
    variables: dict[KeyPath, str] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name != TOKEN_VARIABLE:
            path: KeyPath = tuple(name.removeprefix(PREFIX).lower().split("__"))
            if path in variables:
                raise ConfigError(
                    f"The variables {variables[path]} and {name} are one setting: unset one of them."
                )
            variables[path] = name
    values: dict[str, Any] = {}
    for path in sorted(variables, key=len):
        value: Any = _variable_value(path, variables[path], environ[variables[path]])
        for step in reversed(path):
            value = {str(step): value}
        values = _merge(values, value)

    def where(path: KeyPath) -> str:
        # The variable may have set a table around the path, or something within it.
        near = [given for given in variables if given == path[: len(given)] or path == given[: len(path)]]
        return f" in the variable {variables[max(near, key=len)]}"

    return _Source(values, where)


def _variable_value(path: KeyPath, name: str, text: str) -> Any:
    kind, _ = _allowed_at(path)
    if kind in (None, str, SecretStr) or get_origin(kind) is Literal:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if kind in (int, float, bool):
            return text
        raise ConfigError(f"{_key(path)} in the variable {name} must be JSON, and is not: {error}.") from None


def _allowed_at(path: KeyPath) -> tuple[Any, str | None]:
    """The type of the setting at `path`, and what is allowed there in words; (None, None) for no setting."""
    kind: Any = Settings
    allowed = None
    for step in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(step))
            if field is None:
                return None, None
            kind, allowed = _unwrapped(field.annotation)[0], field.description
        elif get_origin(kind) in (Mapping, tuple):
            kind, allowed = _unwrapped(get_args(kind)[1 if get_origin(kind) is Mapping else 0])
        else:
            return None, None
    return kind, allowed


def _unwrapped(annotation: Any) -> tuple[Any, str | None]:
    """The type that `annotation` is of where it is not None, and what is said of it."""
    if get_origin(annotation) in (Union, UnionType):
        return _unwrapped(next(kind for kind in get_args(annotation) if kind is not NoneType))
    if get_origin(annotation) is not Annotated:
        return annotation, None
    kind, *metadata = get_args(annotation)
    fields = (part for part in metadata if isinstance(part, FieldInfo))
    return kind, next((field.description for field in fields if field.description), None)


def _sentence(error: ValidationError, merged: Mapping[str, Any], sources: Iterable[_Source]) -> str:
    # An unknown key first: where a required one is misspelt there are two errors, and this one helps.
    found = min(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    path: KeyPath = tuple(found.get("ctx", {}).get("path", ())) or found["loc"]
    in_name = path[-1] == "[key]" and get_origin(_allowed_at(path[:-2])[0]) is Mapping
    if in_name:
        path = path[:-1]
    subject = f"{_key(path)}{_where(path, sources)}"
    is_hidden = in_name or _is_secret(_allowed_at(path)[0])
    given = "" if is_hidden else _shown(_value_at(path, merged))
    if found["type"] == "extra_forbidden":
        return f"{subject} is unknown{_alternatives(path)}."
    if found["type"] == "missing":
        return f"{subject} is missing: it must be {_allowed_at(path)[1]}."
    if found["type"] == "setting":
        predicate = found["msg"]
    elif in_name:
        predicate = f"must have {_unwrapped(get_args(_allowed_at(path[:-1])[0])[0])[1]}"
    else:
        predicate = f"must be {_allowed_at(path)[1] or 'a table'}"
    return f"{subject} {given}{predicate}."


def _is_secret(kind: Any) -> bool:
    """Whether that is a text that nobody is shown, or a table of such."""
    return kind is SecretStr or (
        get_origin(kind) is Mapping and _unwrapped(get_args(kind)[1])[0] is SecretStr
    )


def _where(path: KeyPath, sources: Iterable[_Source]) -> str:
    """Where the value at `path`, or most of the way to it, was set; of equals the strongest source."""
    depths = [(_depth(path, source.values), source) for source in sources]
    depth, source = max(depths, key=lambda pair: pair[0])
    return source.where(path[:depth]) if depth else ""


def _depth(path: KeyPath, values: Any) -> int:
    for depth in range(len(path), 0, -1):
        if _value_at(path[:depth], values) is not _MISSING:
            return depth
    return 0


def _value_at(path: KeyPath, values: Any) -> Any:
    for step in path:
        if isinstance(values, Mapping):
            values = values.get(str(step), _MISSING)
        elif isinstance(values, list | tuple) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            return _MISSING
    return values


def _alternatives(path: KeyPath) -> str:
    parent, name = path[:-1], str(path[-1])
    table = _allowed_at(parent)[0]
    if not (isinstance(table, type) and issubclass(table, BaseModel)):
        return ""
    guesses: list[KeyPath] = [
        (*parent, close) for close in difflib.get_close_matches(name, table.model_fields)
    ]
    if not parent:
        # A key that was meant for a section but stands above all of them.
        guesses += [(section, name) for section in table.model_fields if _allowed_at((section, name))[1]]
    guess = f" (did you mean {_key(guesses[0])}?)" if guesses else ""
    inside = f"in {_key(parent)}" if parent else "at the top"
    return f"{guess}: allowed {inside} are {', '.join(sorted(table.model_fields))}"


def _key(path: KeyPath) -> str:
    """`legacy[0].interval_seconds`, with quotes around a step that TOML would want them around."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            quoted = step if step and _BARE.issuperset(step) else json.dumps(step)
            text += f".{quoted}" if text else quoted
    return text


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "is a table, but "
    if isinstance(value, list | tuple):
        return "is a list, but "
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, str) and ("@" in value or "?" in value or redacted(value) != value):
        # It may be a URL with a password in it, or with a key in its query.
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"is {text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '…'}, but "
