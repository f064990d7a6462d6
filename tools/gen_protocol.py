#!/usr/bin/env python3
"""Writes the generated constants of every codec from protocol/*.toml; with --check only says what is out of date."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = ROOT / "protocol"
Table = dict[str, Any]


def load(name: str) -> Table:
    """Reads one table of the protocol."""
    with (PROTOCOL / name).open("rb") as file:
        return tomllib.load(file)


def screaming(name: str) -> str:
    """snake_case to SCREAMING_CASE."""
    return name.upper()


def camel(name: str) -> str:
    """SCREAMING_CASE to CamelCase."""
    return "".join(part.capitalize() for part in name.split("_"))


def rust_enum(name: str, table: Table) -> list[str]:
    """One closed enum with its numbers; `unknown` names the variant that stands for numbers of a later version."""
    values: list[Table] = table["values"]
    kind = "u8" if max(value["number"] for value in values) < 256 else "u16"
    unknown: str | None = table.get("unknown")
    lines = [
        f"/// {table['doc']}",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]",
        f"#[repr({kind})]",
        f"pub enum {name} {{",
    ]
    for value in values:
        lines += [f"    /// {value['doc']}", f"    {value['name']} = {value['number']},"]
    variants = ", ".join(f"{name}::{value['name']}" for value in values)
    lines += ["}", "", f"impl {name} {{", "    /// Every value, in order of its number."]
    lines += [f"    pub const ALL: [{name}; {len(values)}] = [{variants}];", ""]
    lines += ["    /// The number on the wire.", f"    pub const fn number(self) -> {kind} {{"]
    lines += [f"        self as {kind}", "    }", ""]
    if unknown is None:
        lines += ["    /// From the number on the wire; none if v1 does not know it."]
        lines += [f"    pub const fn from_number(number: u64) -> Option<{name}> {{", "        Some(match number {"]
        lines += [f"            {value['number']} => {name}::{value['name']}," for value in values]
        lines += ["            _ => return None,", "        })", "    }"]
    else:
        lines += [f"    /// From the number on the wire; one that v1 does not know is read as `{unknown}`."]
        lines += [f"    pub const fn from_number(number: u64) -> {name} {{", "        match number {"]
        lines += [f"            {v['number']} => {name}::{v['name']}," for v in values if v["name"] != unknown]
        lines += [f"            _ => {name}::{unknown},", "        }", "    }"]
    return [*lines, "}", ""]


def rust_constants() -> str:
    """crates/nylon-wire/src/constants.rs"""
    table = load("messages.toml")
    lines = [
        "//! Numbers of the protocol. Written by tools/gen_protocol.py from protocol/messages.toml; do not edit.",
        "",
        "/// The version in OPEN and BEAT, and the `v1` of the subjects.",
        f"pub const PROTOCOL_VERSION: u64 = {table['version']};",
        "",
    ]
    for name, enum in table["enums"].items():
        lines += rust_enum(name, enum)
    for module, section in (("method", "methods"), ("reserved", "reserved")):
        if module == "reserved":
            continue
        lines += [f"/// {table[section]['doc']}", f"pub mod {module} {{"]
        for value in table[section]["values"]:
            lines += [f"    /// `{value['name']}`"]
            lines += [f"    pub const {screaming(value['name'])}: u32 = {value['number']};"]
        lines += ["}", ""]
    lines += [f"/// {table['failures']['doc']}", "pub mod failure {"]
    for value in table["failures"]["values"]:
        lines += [f"    /// {value['doc']}"]
        lines += [f'    pub const {screaming(value["name"])}: &str = "{value["name"]}";']
    return "\n".join([*lines, "}", ""])


def rust_match(errors: list[Table], value: Callable[[Table], str], indent: str = "            ") -> list[str]:
    """One arm per error."""
    return [f"{indent}ErrorCode::{camel(error['code'])} => {value(error)}," for error in errors]


def rust_errors() -> str:
    """crates/nylon-wire/src/errors.rs"""
    errors: list[Table] = load("errors.toml")["errors"]
    lines = [
        "//! Error codes a client can see. Written by tools/gen_protocol.py from protocol/errors.toml; do not edit.",
        "",
        "/// Whose fault an error is.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]",
        "pub enum Fault {",
    ]
    for fault in ("client", "plugin", "upstream", "gateway"):
        lines += [f"    /// The {fault}'s.", f"    {fault.capitalize()},"]
    lines += ["}", "", "/// An error a client can see."]
    lines += ["#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]", "pub enum ErrorCode {"]
    for error in errors:
        lines += [f"    /// {error['status']}: {error['message']}.", f"    {camel(error['code'])},"]
    lines += ["}", "", "impl ErrorCode {", "    /// Every code."]
    lines += [f"    pub const ALL: [ErrorCode; {len(errors)}] = ["]
    lines += [f"        ErrorCode::{camel(error['code'])}," for error in errors] + ["    ];", ""]

    def method(name: str, result: str, doc: str, value: Callable[[Table], str]) -> list[str]:
        head = [f"    /// {doc}", f"    pub const fn {name}(self) -> {result} {{", "        match self {"]
        return [*head, *rust_match(errors, value), "        }", "    }", ""]

    lines += method("status", "u16", "The HTTP status.", lambda e: str(e["status"]))
    lines += method(
        "code", "&'static str", "The `error` of the JSON body.", lambda e: f'"{e.get("public", e["code"])}"'
    )
    lines += method("message", "&'static str", "The `message` of the JSON body.", lambda e: f'"{e["message"]}"')
    lines += method("fault", "Fault", "Whose fault it is.", lambda e: f"Fault::{e['fault'].capitalize()}")
    lines += method(
        "retryable", "bool", "Whether the same request may succeed later.", lambda e: str(e["retryable"]).lower()
    )
    lines += method(
        "retry_after_s",
        "Option<u32>",
        "The `Retry-After` header, in seconds.",
        lambda e: f"Some({e['retry_after_s']})" if "retry_after_s" in e else "None",
    )
    return "\n".join([*lines[:-1], "}", ""])


def cell(element: Table) -> str:
    """What a reader may find instead of the value."""
    if "default" in element:
        default = element["default"]
        return {"False": "false", "{}": "empty", "[]": "empty", "": "empty"}.get(str(default), str(default))
    return "nil" if element.get("nil") else "required"


def element_rows(elements: list[Table], first: int) -> list[str]:
    """A table of positional elements."""
    head = ["| # | element | type | if missing | |", "|---|---|---|---|---|"]
    return head + [
        f"| {index} | {e['name']} | {e['type']}{' or nil' if e.get('nil') else ''} "
        f"| {'required' if e.get('required') else cell(e)} | {e['doc']} |"
        for index, e in enumerate(elements, first)
    ]


def operation_rows(table: Table, names: dict[int, str]) -> list[str]:
    """A table of operations with their arguments."""
    rows = ["| number | name | arguments |", "|---|---|---|"]
    for number, arguments in table.items():
        listed = ", ".join(
            f"{a['name']} {a['type']}{' or nil' if a.get('nil') else ''}"
            + (f" (only after {a['if_nil']} = nil)" if "if_nil" in a else "")
            for a in arguments
        )
        rows.append(f"| {number} | {names[int(number)]} | {listed} |")
    return rows


def spec_table(kind: str, name: str, messages: Table) -> list[str]:
    """The table that belongs between two markers of SPEC.md."""
    methods = {m["number"]: m["name"] for m in messages["methods"]["values"]}
    if kind == "frame":
        frame = messages["frames"][name]
        number = next(v["number"] for v in messages["enums"]["FrameType"]["values"] if v["name"] == frame["kind"])
        draft = " *Draft.*" if frame.get("draft") else ""
        first = 5 if frame.get("session", True) else 1
        rows = element_rows(frame["elements"], first)
        return [
            f"**{name}** (type {number}).{draft} Elements after the first {'five' if first == 5 else 'one'}:",
            "",
            *rows,
        ]
    if kind == "record":
        record = messages["records"][name]
        return [f"`{name}`: {record['doc']}", "", *element_rows(record["elements"], 0)]
    if kind == "enum":
        rows = [f"| {v['number']} | {v['name']} | {v['doc']} |" for v in messages["enums"][name]["values"]]
        return [f"| {name} | | |", "|---|---|---|", *rows]
    if kind == "operations":
        names = {v["number"]: v["name"] for v in messages["enums"]["OperationNumber"]["values"]}
        return operation_rows(messages["operations"], names)
    if kind == "ws_operations":
        return operation_rows(messages["ws_operations"], methods)
    if kind == "failures":
        rows = [f"| `{v['name']}` | {v['doc']} |" for v in messages["failures"]["values"]]
        return ["| code | |", "|---|---|", *rows]
    if kind == "reserved":
        rows = [f"| {v['number']} | {v['name']} |" for v in messages["reserved"]["values"]]
        return ["| number | name |", "|---|---|", *rows]
    if kind == "errors":
        rows = [
            f"| {e['status']} | `{e.get('public', e['code'])}` | {e['fault']} | {'yes' if e['retryable'] else 'no'} "
            f"| {e['message']} |"
            for e in load("errors.toml")["errors"]
        ]
        return ["| status | code | whose fault | retryable | message |", "|---|---|---|---|---|", *rows]
    raise KeyError(f"writing SPEC.md: no table called {kind}")


def spec() -> str:
    """protocol/SPEC.md with its tables; the text between them is written by hand."""
    messages = load("messages.toml")
    lines: list[str] = []
    inside = False
    for line in (PROTOCOL / "SPEC.md").read_text(encoding="utf-8").splitlines():
        if line == "<!-- end -->":
            inside = False
        if inside:
            continue
        lines.append(line)
        marker = re.fullmatch(r"<!-- (\w+) ?(\w*) -->", line)
        if marker and marker[1] != "end":
            lines += [*spec_table(marker[1], marker[2], messages)]
            inside = True
    return "\n".join([*lines, ""])


OUTPUTS: dict[str, Callable[[], str]] = {
    "crates/nylon-wire/src/constants.rs": rust_constants,
    "crates/nylon-wire/src/errors.rs": rust_errors,
    "protocol/SPEC.md": spec,
}


def main(arguments: list[str]) -> int:
    """Writes every output, or with --check compares them."""
    if arguments not in ([], ["--check"]):
        print("usage: tools/gen_protocol.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, make in OUTPUTS.items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if arguments:
            print(f"{name} is out of date: run tools/gen_protocol.py", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
