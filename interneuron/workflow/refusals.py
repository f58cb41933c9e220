"""Refusals of the config: what pydantic found, as one sentence that names file, key, what it got and what it takes."""

import difflib
import re
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from interneuron.errors import InputError

# The files that an entry was read from, the entry itself first, each with its keys.
Layers = list[tuple[str, dict[str, Any]]]


class RefusedError(ValueError):
    """A check across keys failed: `key` (dotted, from the checked model) `got` this, but takes `takes`."""

    def __init__(self, key: str, got: Any, takes: str) -> None:
        super().__init__(f"{key} is {shown(got)}, but takes {takes}")
        self.key, self.got, self.takes = key, got, takes


# What a pattern takes, in words.
WORDS = {
    r"^[A-Za-z0-9][A-Za-z0-9_-]*$": "a name of letters, digits, '-' and '_'",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits (0-9, a-f)",
    r"^[0-9a-f]{8,63}$": "the first 8 or more hexadecimal digits (0-9, a-f)",
    r"^[0-9a-f]{40}$": "40 hexadecimal digits (0-9, a-f)",
    r"^(https?://|package:).+$": "an address that begins with https://, http:// or package:",
}


class Words(str):
    """Words that are shown without quotes."""


MISSING = Words("missing")


def shown(value: Any) -> str:
    """A value as a sentence quotes it."""
    if isinstance(value, Words):
        return str(value)
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def listed(names: Iterable[Any], between: str = " and ") -> str:
    """Names in a row: `a, b and c`."""
    words = [str(name) for name in names]
    return between.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def there_are(names: list[str], place: str) -> str:
    """What a place has, for who asked it for something else."""
    return f"{place} has {listed(names)}" if names else f"{place} has none"


def near(name: str, known: Iterable[str]) -> str:
    """A suggestion where a name is almost a known one, else nothing."""
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" (did you mean {found[0]}?)" if found else ""


def refusal(file: str, key: str, got: Any, takes: str) -> InputError:
    """The error: file, key, what it got, what it takes."""
    return InputError(f"{file}: {key} is {shown(got)}, but takes {takes}")


def file_of(layers: Layers, path: list[str]) -> str:
    """The file that a key comes from, the first that has it, or most of the way to it; and which is based on it."""
    file, own = max(layers, key=lambda layer: _depth(layer[1], path))[0], layers[0][0]
    return file if file == own else f"{file} (on which {own} is based)"


def sentence(kind: Any, errors: list[Any], data: Any, layers: Layers) -> InputError:
    """The first thing that is wrong, in one sentence."""
    places = [_place(kind, error, data) for error in errors]
    unknown = [i for i, error in enumerate(errors) if error["type"] == "extra_forbidden"]
    # A key misspelt is both unknown and missing, and the first says more.
    first = unknown[0] if unknown else 0
    # Of a union's branches the one that the value came furthest in is meant.
    top = places[first][0]
    first = max(range(first, len(errors)), key=lambda i: len(places[i][0]) if places[i][0][: len(top)] == top else -1)
    error, (path, kinds) = errors[first], places[first]
    key, got = _written(path), error["input"]
    refused = error.get("ctx", {}).get("error")
    if isinstance(refused, RefusedError):
        path = path + refused.key.split(".")
        key, got, takes = _written(path), refused.got, refused.takes
    else:
        same = [other for other, place in zip(errors, places, strict=True) if place[0] == path]
        takes = listed(dict.fromkeys(map(_takes, same)), " or ")
    file = file_of(layers, path)
    if error["type"] == "extra_forbidden":
        known = sorted({name for model in kinds for name in model.model_fields})
        parent = _written(path[:-1]) or "the file"
        return InputError(f"{file}: {key} is no known key{near(path[-1], known)}; {parent} takes {listed(known)}")
    if error["type"] == "missing":
        got = MISSING
    elif error["type"] in ("literal_error", "union_tag_invalid") and isinstance(got, str):
        takes += near(got, re.findall(r"'([^']*)'", takes))
    return refusal(file, key, got, takes)


def _written(path: list[str]) -> str:
    """A dotted key on one line, whatever its parts are made of."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in ".".join(path))


def _place(kind: Any, error: Any, data: Any) -> tuple[list[str], list[Any]]:
    """Keys that lead to an error, without pydantic's names of a union's branches; the models that hold the last key."""
    path: list[str] = []
    kinds, holders = [kind], [kind]
    for position, part in enumerate(error["loc"]):
        last = position == len(error["loc"]) - 1
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if not inside and not (last and error["type"] == "missing"):
            kinds = [kind for kind in kinds if _is_branch(kind, part)] or kinds
            continue
        path.append(str(part))
        holders = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        data = data[part] if inside else None
        kinds = [inner for kind in kinds for inner in _inner(kind, part)]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append(error["ctx"]["discriminator"].strip("'"))
        error["input"] = data.get(path[-1], MISSING)
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        tags = [repr(tag) for kind in models for tag in literals(kind, path[-1])]
        error["ctx"]["expected_tags"] = listed(tags, " or ")
    return path, holders


def _inner(kind: Any, part: Any) -> list[Any]:
    """What may stand at `part` of a `kind`, unions taken apart."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return branches(kind.model_fields[part].annotation) if part in kind.model_fields else []
    return branches(typing.get_args(kind)[-1]) if typing.get_args(kind) else []


def branches(kind: Any) -> list[Any]:
    """The alternatives of a type, unions and annotations taken apart."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return branches(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [branch for part in typing.get_args(kind) for branch in branches(part)]
    return [kind]


def _is_branch(kind: Any, tag: Any) -> bool:
    """Whether `tag` is the value by which a tagged union chooses this model."""
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return is_model and any(tag in literals(kind, name) for name in kind.model_fields)


def literals(kind: Any, field: str) -> tuple[Any, ...]:
    """The values that a model's field is restricted to."""
    annotation = kind.model_fields[field].annotation
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _depth(layer: Any, path: list[str]) -> int:
    """How many of the keys of a path there are."""
    for depth, part in enumerate(path):
        if isinstance(layer, list) and part.isdigit() and int(part) < len(layer):
            layer = layer[int(part)]
        elif isinstance(layer, dict) and part in layer:
            layer = layer[part]
        else:
            return depth
    return len(path)


_TAKES = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "finite_number": "a finite number",
    "string_too_short": "some text",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "missing": "a value",
    "too_short": "a list of at least {min_length}",
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "union_tag_not_found": "{expected_tags}",
}


def _takes(error: Any) -> str:
    """What a key takes, in words, by pydantic's type of error."""
    context = error.get("ctx", {})
    if error["type"] == "string_pattern_mismatch":
        return WORDS[context["pattern"]]
    if error["type"] == "value_error":
        return str(context["error"])
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
        return "text, in quotes"
    if error["type"] in _TAKES:
        return _TAKES[error["type"]].format(**context)
    return str(error["msg"])
