"""Reads TMDL as strictly as Power BI's own parser was seen to, and only what we write of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dashboards.powerbi.finding import Finding

# By kind of object, the properties that it may have.
PROPERTIES: Final = {
    "database": {"compatibilityLevel"},
    "model": {
        "culture",
        "defaultPowerBIDataSourceVersion",
        "discourageImplicitMeasures",
        "sourceQueryCulture",
    },
    "table": {"lineageTag"},
    "measure": {"lineageTag", "isHidden", "formatString"},
    "column": {
        "dataType",
        "isHidden",
        "formatString",
        "lineageTag",
        "summarizeBy",
        "sourceColumn",
    },
    "partition": {"mode", "source"},
    "relationship": {"fromColumn", "toColumn"},
    "expression": {"lineageTag"},
    "ref table": set(),
}
DATA_TYPES: Final = {"string", "int64", "double", "dateTime", "decimal", "boolean", "binary"}

_NAME: Final = r"'(?:[^']|'')+'|[\w-]+"
_OBJECT: Final = re.compile(rf"({'|'.join(PROPERTIES)})(?: ({_NAME}))?(?: =(?: (.+))?)?")
_PROPERTY: Final = re.compile(r"(\w+): (.+)")
_FLAG: Final = re.compile(r"\w+")
_BODY: Final = re.compile(r"(\w+) =")


@dataclass
class Node:
    """An object: its kind and name, expression, properties and what is in it."""

    kind: str
    name: str
    file: str
    expression: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)

    def of(self, kind: str) -> list["Node"]:
        """Return the children of a kind."""
        return [child for child in self.children if child.kind == kind]

    def finding(self, message: str) -> Finding:
        """Return a finding about this object."""
        return Finding(self.file, f"{self.kind} {self.name}".strip(), message)


@dataclass
class _Reader:
    """Reads the lines of one file; what it cannot read becomes a finding."""

    file: str
    lines: list[str]
    nodes: list[Node] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    path: list[Node] = field(default_factory=list)

    def read(self) -> None:
        number = 0
        while number < len(self.lines):
            line = self.lines[number]
            text = line.strip()
            number += 1
            if not text or text.startswith("///"):
                continue
            depth = _depth(line)
            if line[:1].isspace() and line[depth : depth + 1] == " ":
                self._find(number, "expected tabs before an object, found spaces")
            elif depth > len(self.path):
                self._find(number, f"expected at most {len(self.path)} tabs, found {depth}")
            else:
                number += self._line(number, text, depth)

    def _line(self, number: int, text: str, depth: int) -> int:
        """Read an object or a property and return how many lines of expression it has."""
        if match := _OBJECT.fullmatch(text):
            return self._object(match, number, depth)
        owner = self.path[depth - 1] if depth else None
        if owner is None:
            self._find(number, f"expected an object, found {text[:40]!r}")
        elif match := _PROPERTY.fullmatch(text):
            self._set(owner, number, match[1], match[2])
        elif match := _BODY.fullmatch(text):
            body = list(self._body(number, depth + 1))
            self._set(owner, number, match[1], "\n".join(body))
            return len(body)
        elif _FLAG.fullmatch(text):
            self._set(owner, number, text, "true")
        else:
            self._find(number, f"expected a property, found {text[:40]!r}")
        return 0

    def _object(self, match: re.Match[str], number: int, depth: int) -> int:
        kind, name, expression = match[1], _unquoted(match[2] or ""), match[3] or ""
        body = [] if expression else list(self._body(number, depth + 2))
        node = Node(kind, name, self.file, expression or "\n".join(body))
        siblings = self.path[depth - 1].children if depth else self.nodes
        if any(other.kind == kind and other.name == name for other in siblings):
            self.findings.append(node.finding("expected once, found again"))
        siblings.append(node)
        self.path[depth:] = [node]
        return len(body)

    def _body(self, number: int, depth: int) -> Iterator[str]:
        """Yield the lines of an expression: those that are indented deeper than properties."""
        for line in self.lines[number:]:
            if not line.strip() or _depth(line) < depth:
                return
            yield line[depth:]

    def _set(self, owner: Node, number: int, name: str, value: str) -> None:
        if name in owner.properties:
            self.findings.append(owner.finding(f"expected {name} once, found it again"))
        if name not in PROPERTIES[owner.kind]:
            self.findings.append(owner.finding(f"expected no property {name} (line {number})"))
        owner.properties[name] = value

    def _find(self, number: int, message: str) -> None:
        self.findings.append(Finding(self.file, f"line {number}", message))


def read(folder: Path, root: Path) -> tuple[list[Node], list[Finding]]:
    """Return the objects of every TMDL file below a folder, and what could not be read."""
    nodes: list[Node] = []
    findings: list[Finding] = []
    for path in sorted(folder.rglob("*.tmdl")):
        text = path.read_text(encoding="utf-8")
        reader = _Reader(path.relative_to(root).as_posix(), text.splitlines())
        reader.read()
        nodes += reader.nodes
        findings += reader.findings
    return nodes, findings


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip("\t"))


def _unquoted(name: str) -> str:
    return name[1:-1].replace("''", "'") if name.startswith("'") else name
