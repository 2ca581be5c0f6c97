"""The tables of a PLY file: its elements and their columns, from text or binary of either order.

What is wrong is raised as ValueError, without the file's name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
"""numpy's names of PLY's types."""
Order: TypeAlias = Literal["", "<", ">"]  # of bytes; "": text


@dataclass(frozen=True)
class Column:
    """What one property is in each row."""

    kind: str  # the type that the file announces, by numpy's name
    values: NDArray[Any]  # (n), or of lists all their values, one list after the other
    counts: NDArray[np.int64] | None  # of lists, how long each is (n)


Table: TypeAlias = Mapping[str, Column]


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str
    count: str = ""  # of a list: the type of its length


@dataclass(frozen=True)
class _Element:
    name: str
    rows: int
    properties: list[_Property]


@dataclass(frozen=True)
class _Head:
    order: Order
    elements: list[_Element]
    pictures: list[str]
    end: int  # where the rows begin


def pictures(content: bytes) -> list[str]:
    """The pictures that comments of a PLY file name (TextureFile)."""
    return _head(content).pictures


def tables(content: bytes) -> dict[str, Table]:
    """The elements of a PLY file by name, each with its columns by name."""
    head = _head(content)
    found: dict[str, Table] = {}
    lines = iter(())
    if not head.order:
        text = content[head.end :].decode("ascii", "replace")
        lines = (words for line in text.splitlines() if (words := line.split()))
    at = head.end
    for element in head.elements:
        if head.order:
            found[element.name], at = _packed(element, content, at, head.order)
        else:
            found[element.name] = _written(element, lines)
    return found


def _head(content: bytes) -> _Head:
    begin = re.match(rb"ply[ \t]*(\r\n|\r|\n)", content)
    end = begin and re.search(rb"[\r\n]end_header[ \t]*(" + begin[1] + rb"|\Z)", content)
    if begin is None or end is None:
        raise ValueError("it does not begin as PLY does: ply, a header, end_header.")
    order: Order | None = None
    elements: list[_Element] = []
    pictures: list[str] = []
    for line in content[begin.end() : end.start()].decode("utf-8", "replace").splitlines():
        match line.split():
            case ["format", "ascii", _]:
                order = ""
            case ["format", "binary_little_endian", _]:
                order = "<"
            case ["format", "binary_big_endian", _]:
                order = ">"
            case ["element", name, count] if re.fullmatch("[0-9]{1,15}", count):
                elements.append(_Element(name, int(count), []))
            case ["property", "list", count, kind, name] if (
                elements and kind in TYPES and TYPES.get(count, "f")[0] != "f"
            ):
                elements[-1].properties.append(_Property(name, TYPES[kind], TYPES[count]))
            case ["property", kind, name] if elements and kind in TYPES:
                elements[-1].properties.append(_Property(name, TYPES[kind]))
            case ["comment", "TextureFile", _, *_]:
                pictures.append(line.split(None, 2)[2].strip())
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ValueError(f"its header says {line.strip()[:80]!r}, which is no PLY.")
    for names in ([x.name for x in elements], *([p.name for p in x.properties] for x in elements)):
        if len(set(names)) < len(names):
            raise ValueError(f"its header gives a name twice: {', '.join(names)}.")
    if order is None:
        raise ValueError("its header names no format: ascii or binary_little_endian, say.")
    return _Head(order, elements, pictures, end.end())


def _cut(element: _Element) -> ValueError:
    return ValueError(f"it ends before the last of its {element.rows} rows of {element.name}.")


def _written(element: _Element, lines: Iterator[list[str]]) -> Table:
    """Rows of text, each a line."""
    words: list[list[str]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    for k in range(element.rows if element.properties else 0):
        line = next(lines, None)
        if line is None:
            raise _cut(element)
        at = 0
        for i, property in enumerate(element.properties):
            count = 1
            if property.count:
                count = max(0, int(line[at])) if at < len(line) else 0
                counts[i].append(count)
                at += 1
            words[i] += line[at : at + count]
            at += count
        if at != len(line):
            raise ValueError(
                f"row {k} of its {element.name} has {len(line)} values; {at} were expected."
            )
    return {
        property.name: Column(
            property.kind,
            np.array([float(x) for x in words[i]], np.float64),
            np.array(counts[i], np.int64) if property.count else None,
        )
        for i, property in enumerate(element.properties)
    }


def _packed(element: _Element, content: bytes, at: int, order: Order) -> tuple[Table, int]:
    """Rows of bytes from `at` on, and where they end."""
    sizes = [np.dtype(p.count or p.kind).itemsize for p in element.properties]
    if element.rows * sum(sizes) > len(content) - at:
        raise _cut(element)
    if not element.rows or not element.properties:
        return _walked(element, 0, content, at, order)
    first, _ = _walked(element, 1, content, at, order)
    fields: list[tuple[str, str, int]] = []
    for i, column in enumerate(first.values()):
        if column.counts is not None:
            fields.append((f"count {i}", order + element.properties[i].count, 1))
        fields.append((f"{i}", order + column.kind, len(column.values)))
    kind = np.dtype([(name, form, (count,)) for name, form, count in fields])
    if element.rows * kind.itemsize > len(content) - at:
        return _walked(element, element.rows, content, at, order)
    # Nearly always all lists are as long as those of the first row.
    rows = np.frombuffer(content, kind, element.rows, at)
    out: dict[str, Column] = {}
    for i, (name, column) in enumerate(first.items()):
        counts = None
        if column.counts is not None:
            counts = rows[f"count {i}"][:, 0].astype(np.int64)
            if (counts != column.counts[0]).any():
                return _walked(element, element.rows, content, at, order)
        out[name] = Column(column.kind, rows[f"{i}"].reshape(-1), counts)
    return out, at + rows.nbytes


def _walked(
    element: _Element, rows: int, content: bytes, at: int, order: Order
) -> tuple[Table, int]:
    """The first rows of an element, list by list."""
    ends: Literal["little", "big"] = "little" if order == "<" else "big"
    chunks: list[list[bytes]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    plan = [
        (p.count, np.dtype(p.count or "u1").itemsize, np.dtype(p.kind).itemsize, i)
        for i, p in enumerate(element.properties)
    ]
    for _ in range(rows):
        for counted, head, size, i in plan:
            count = 1
            if counted:
                count = int.from_bytes(content[at : at + head], ends, signed=counted[0] == "i")
                count = max(0, count)
                counts[i].append(count)
                at += head
            if at + count * size > len(content):
                raise _cut(element)
            chunks[i].append(content[at : at + count * size])
            at += count * size
    columns = {
        p.name: Column(
            p.kind,
            np.frombuffer(b"".join(chunks[i]), order + p.kind),
            np.array(counts[i], np.int64) if p.count else None,
        )
        for i, p in enumerate(element.properties)
    }
    return columns, at
