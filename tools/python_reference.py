"""The Python reference, read from sources and stubs: what is written in Rust has its signatures in _core.pyi only."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

# What griffe finds is a class, a function or an alias of one: which of them, its attributes tell and not its type.
_Found = Any

_SOURCES = Path(__file__).resolve().parent.parent / "python"

# A method that is made of its blocking twin's.
_AWAITED = re.compile(r"awaited\((\w+)\.(\w+)\)")

# What a plugin imports, and where it is; then what only signatures mention.
_MODULES = {"nylon": "sdk", "nylon.testing": "testing"}
_MENTIONED = ("sdk.plugin.Options", "_core._Body", "_core._Done", "_core._Received", "_core._Upgrade")


def reference() -> str:
    """Every public name of the SDK and of nylon.testing."""
    nylon = griffe.load(
        "nylon", search_paths=[_SOURCES], allow_inspection=False, resolve_aliases=True, resolve_external=False
    )
    lines = [
        "<!-- generated from python/nylon by `make generate` -->",
        "# Python reference",
        "",
        "Every public name of the SDK for Python. How they go together: [plugins in Python](plugins-in-python.md).",
        "",
    ]
    public = {place: nylon[place].exports or [] for place in _MODULES.values()}
    exported = [str(name) for names in public.values() for name in names]
    for name, place in _MODULES.items():
        lines += [f"## Module {name}", "", *_docstring(nylon[place])]
        for member in public[place]:
            lines += _member(nylon[f"{place}.{member}"], exported)
    lines += ["## Types that only signatures mention", ""]
    for place in _MENTIONED:
        lines += _member(nylon[place], exported)
    text = "\n".join(lines).rstrip() + "\n"
    for name, alias in nylon["_core"].attributes.items():
        value = str(alias.value)
        if name.startswith("_") and name != "__version__":
            text = re.sub(rf"\b{name}\b", name[1:] if value.startswith("TypeVar") else value, text)
    return text


def _member(found: _Found, exported: list[str]) -> Iterator[str]:
    return _class(found, exported) if found.is_class else _function(found, "###")


def _class(found: _Found, exported: list[str]) -> Iterator[str]:
    made = found.all_members.get("__new__" if "__new__" in found.members else "__init__")
    parameters = _parameters(made) if made is not None else ""
    bases = [str(base) for base in found.bases]
    yield from (f"### {found.name}", "", "```py", f"class {found.name}{parameters}", "```", "")
    known = [f"[`{base}`](#{base.lower()})" if base in exported else f"`{base}`" for base in bases if base[0] != "_"]
    if known:
        yield from (f"Base: {', '.join(known)}.", "")
    yield from _docstring(found)
    own = [member for member in found.all_members.values() if _own(member, found, exported)]
    attributes = [_attribute(member) for member in own if not member.is_function]
    yield from (*attributes, *([""] if attributes else []))
    for member in found.all_members.values():
        if (twin := _twin(member)) is not None:
            yield from _function(twin, "####", "async def")
        elif member.is_function and _own(member, found, exported):
            yield from _function(member, "####")


def _twin(member: _Found) -> _Found | None:
    """What it does but for waiting, if it is made of that."""
    made = _AWAITED.fullmatch(str(getattr(member, "value", None)))
    return member.module[made[1]][made[2]] if made is not None else None


def _own(member: _Found, found: _Found, exported: list[str]) -> bool:
    """Whether it is told of here: what comes from a public base is told of there."""
    owner = (member.final_target if member.is_alias else member).parent
    elsewhere = owner is not None and owner.name in exported and owner.name != found.name
    return not member.name.startswith("_") and member.has_docstring and not elsewhere


def _attribute(found: _Found) -> str:
    return f"- `{found.name}: {found.annotation}`: {' '.join(''.join(_docstring(found)).split())}"


def _function(found: _Found, heading: str, start: str | None = None) -> Iterator[str]:
    # no snippet to run: tools/prose.py takes those that say `python` for that
    yield from (f"{heading} {found.name}", "", "```py")
    for one in found.overloads or [found]:
        start = start or ("async def" if "async" in found.labels else "def")
        yield f"{start} {found.name}{_parameters(one)}" + (f" -> {one.returns}" if one.returns is not None else "")
    yield from ("```", "")
    yield from _docstring(found)


def _parameters(found: _Found) -> str:
    return found.signature(return_type=False).removeprefix(found.name)


def _docstring(found: _Found) -> Iterator[str]:
    if found.docstring is not None:
        yield from (found.docstring.value, "")
