"""Variants of an entry of the config: each key left out, each list emptied or cut, each choice and limit taken."""

import copy
import types
import typing
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from interneuron.workflow.refusals import branches

LEFT_OUT = object()
MANY = 10**4
# What says nothing that a job is told.
PROSE = {"title", "paper", "section", "summary", "based_on", "description", "licence", "source", "claims"}
Path = tuple[str | int, ...]


def variants(model: type[BaseModel], entry: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Places in an entry of a model, each with what it is changed to: a value, or `LEFT_OUT`."""
    for name, field in model.model_fields.items():
        if name in PROSE:
            continue
        here, value = (*path, name), entry.get(name)
        if name in entry:
            yield here, LEFT_OUT
        for other in _values(field):
            if other != value and not (name in ("seeds", "block") and other == MANY):
                yield here, other
        if isinstance(value, list) and value:
            yield here, []
            yield here, value[:1]
        for kind in branches(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                if isinstance(value, dict):
                    yield from variants(kind, value, here)
                else:
                    yield here, {}
            for item in branches(typing.get_args(kind)[0]) if typing.get_origin(kind) is list else ():
                if isinstance(item, type) and issubclass(item, BaseModel) and isinstance(value, list) and value:
                    yield from variants(item, value[0], (*here, 0))


def changed(entry: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The entry with another value at a place."""
    entry = copy.deepcopy(entry)
    at: Any = entry
    for part in path[:-1]:
        at = at[part]
    if value is LEFT_OUT:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return entry


def _values(field: Any) -> Iterator[Any]:
    """Nothing, each choice of a few, both of yes and no, limits of numbers, examples."""
    yield from field.examples or ()
    limits = list(_metadata(field.annotation, field.metadata))
    for kind in branches(field.annotation):
        if kind is types.NoneType:
            yield None
        if typing.get_origin(kind) is typing.Literal:
            yield from typing.get_args(kind)
        if kind is bool:
            yield from (True, False)
        if kind in (int, float):
            yield from (limit for name in ("ge", "le", "gt", "lt") for limit in limits_of(limits, name))
            yield from (1, MANY)


def limits_of(limits: list[Any], name: str) -> Iterator[Any]:
    for limit in limits:
        if isinstance(limit, {"ge": Ge, "le": Le, "gt": Gt, "lt": Lt}[name]):
            yield getattr(limit, name)


def _metadata(annotation: Any, found: Any) -> Iterator[Any]:
    for item in found:
        yield item
        yield from getattr(item, "metadata", ())
    if typing.get_origin(annotation) is typing.Annotated:
        first, *rest = typing.get_args(annotation)
        yield from _metadata(first, rest)
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _metadata(part, ())
