"""ONNX files without their weights: the large values are cut out, unread, before the rest is parsed.

A file of 2 GB then takes milliseconds and as much memory as its graph. The wire format is that of Protocol Buffers
(protobuf.dev/programming-guides/encoding); the field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

GRAPH, INITIALIZER, TENSOR_NAME, RAW_DATA = 7, 5, 8, 9
LARGE = 16 << 10
"""Bytes; smaller values stay, since shapes may follow from them."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Broken(ValueError):
    """This is no protocol buffer."""


class Span(NamedTuple):
    """Where bytes lie in the file."""

    offset: int
    size: int


@dataclass
class Skeleton:
    """The model's bytes without large values, and where those are, by the initializer's name."""

    model: bytes
    spans: dict[str, Span]


class _Field(NamedTuple):
    number: int
    kind: int
    start: int
    """Of the whole field, its key included."""
    payload: int
    end: int


def without_weights(data: memoryview) -> Skeleton:
    """Cuts the large values out of a model.

    Raises:
        Broken: the bytes are no protocol buffer.
    """
    spans: dict[str, Span] = {}
    model = bytearray()
    for one in _fields(data, 0, len(data)):
        if one.number == GRAPH and one.kind == _BYTES:
            _put(model, GRAPH, _graph(data, one.payload, one.end, spans))
        else:
            model += data[one.start : one.end]
    return Skeleton(bytes(model), spans)


def _graph(data: memoryview, start: int, end: int, spans: dict[str, Span]) -> bytearray:
    made = bytearray()
    for one in _fields(data, start, end):
        if one.number == INITIALIZER and one.kind == _BYTES and one.end - one.payload > LARGE:
            _put(made, INITIALIZER, _tensor(data, one.payload, one.end, spans))
        else:
            made += data[one.start : one.end]
    return made


def _tensor(data: memoryview, start: int, end: int, spans: dict[str, Span]) -> bytearray:
    made, name, span = bytearray(), "", None
    for one in _fields(data, start, end):
        if one.number == RAW_DATA and one.kind == _BYTES and one.end - one.payload > LARGE:
            span = Span(one.payload, one.end - one.payload)
            continue
        if one.number == TENSOR_NAME:
            name = bytes(data[one.payload : one.end]).decode("utf-8", "replace")
        made += data[one.start : one.end]
    if span is not None:
        spans[name] = span
    return made


def _fields(data: memoryview, at: int, end: int) -> Iterator[_Field]:
    while at < end:
        start = at
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        payload = at
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind == _BYTES:
            size, payload = _varint(data, at, end)
            at = payload + size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise Broken(f"byte {start} begins no field")
        if at > end or not number:
            raise Broken(f"the field at byte {start} is longer than what is left")
        yield _Field(number, kind, start, payload, at)


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Broken(f"the number at byte {at} does not end")


def _put(target: bytearray, number: int, content: bytearray) -> None:
    for value in (number << 3 | _BYTES, len(content)):  # key and length as varints
        while value >= 0x80:
            target.append(value & 0x7F | 0x80)
            value >>= 7
        target.append(value)
    target += content
