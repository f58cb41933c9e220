"""YAML of entries: what they say is the same to all that read them, or refused.

DVC reads YAML 1.2, Snakemake 1.1: 012 is 12 to one and 10 to the other, `yes` text and true, 1e-4 a number and text.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

# What the two versions, or their libraries, read differently without quotes; 001 is among them, a number to both.
_UNCLEAR = re.compile(
    r"""[-+]?0[0-9_]+ | [-+]?0b[01_]+ | [-+]?0o[0-7_]+                 # 012, 0b11, 0o12
    | [-+0-9.][0-9._]*_[0-9._]*([eE][-+]?[0-9]+)?                     # 1_000
    | [-+]?0x[0-9a-fA-F]*_[0-9a-fA-F_]*                               # 0x1_F
    | [-+]?([1-9][0-9_]*(:[0-5]?[0-9])+|[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*)  # 1:30
    | [-+]\.[0-9]+([eE][-+]?[0-9]+)? | \.[0-9]+[eE][-+]?[0-9]+        # +.5, .5e3
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\ ][0-9].*)?                  # 2026-01-01
    | yes | no | on | off | Yes | No | On | Off | YES | NO | ON | OFF | =""",
    re.VERBOSE,
)
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")
# A number under this key is text, so it has to be as it is written.
_TEXT = "reported"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice, and reads 1e-4 as the number that it is in YAML 1.2."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise _refused(key_node, f"key {key_node.value!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _refused(node: Any, sentence: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, sentence, node.start_mark)


def _scalars(node: Any, key: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """All single values and keys in a node, each with words for where it stands; what aliases repeat, once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _scalars(name, f"a key of {key}" if key else "a key", seen)
            yield from _scalars(value, f"{key}.{name.value}" if key else str(name.value), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _scalars(value, f"{key}.{index}" if key else str(index), seen)
    else:
        yield key, node


def _check(loader: _Loader, root: Any, exponents: bool) -> None:
    """Refuse what is read in two ways."""
    for key, node in _scalars(root, "", set()):
        written = node.value
        if node.style or node.tag != loader.resolve(yaml.ScalarNode, written, (True, False)):
            continue  # in quotes, or with a tag that says what it is
        if _UNCLEAR.fullmatch(written) or (not exponents and _EXPONENT.fullmatch(written)):
            takes = f"a plain number, true or false, or '{written}' in quotes as text"
            raise _refused(node, f"{key} is {written}, which YAML reads in more than one way; it takes {takes}")
        if key.endswith(f".{_TEXT}") and node.tag.endswith((":int", ":float")):
            number = loader.construct_object(node)
            if str(number) != written:
                raise _refused(
                    node, f"{key} is {written}, a number that reads {number}; it takes '{written}' in quotes"
                )


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^{_EXPONENT.pattern}$"), list("-+0123456789"))


def parsed(text: str, exponents: bool = True) -> Any:
    """What a text says in YAML. Raises yaml.YAMLError, also for what YAML 1.1 and 1.2 read differently.

    Numbers such as 1e-4 are taken unless `exponents` is False, as it is for what Snakemake reads by itself.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(loader, node, exponents)
        return loader.construct_document(node)
    except ValueError as error:  # of more digits than Python takes
        raise yaml.constructor.ConstructorError(None, None, str(error), None) from None
    finally:
        loader.dispose()
