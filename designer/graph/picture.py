"""Documents inside PNG pictures: a text chunk named `netwright`, which other programs pass over.

Chunks are described in the PNG specification, https://www.w3.org/TR/png-3/#11iTXt: length, type, data, CRC-32.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from designer.graph.errors import DocumentError
from designer.graph.model import GraphData
from designer.graph.storage import LARGEST, dump, parse

SUFFIX = ".png"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEY = b"netwright"


def embed(picture: bytes, data: GraphData) -> bytes:
    """A PNG with a document in it.

    Args:
        picture: the bytes of a PNG.
        data: the document; one that the picture has already is replaced.

    Raises:
        DocumentError: when the bytes are no PNG.
    """
    # Keyword, 0, compressed, zlib, no language, no translated keyword, text.
    body = _KEY + b"\0\1\0\0\0" + zlib.compress(dump(data).encode())
    out = [_SIGNATURE]
    for kind, chunk in _chunks(picture, ""):
        if kind == b"IEND":
            out.append(_pack(b"iTXt", body))
        if not (kind == b"iTXt" and chunk.startswith(_KEY + b"\0")):
            out.append(_pack(kind, chunk))
    return b"".join(out)


def read_picture(path: Path) -> GraphData:
    """The document in a PNG.

    Raises:
        DocumentError: when there is none, or the file cannot be read; the file is not touched.
    """
    try:
        picture = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"The file cannot be read: {error.strerror}.", path) from None
    for kind, chunk in _chunks(picture, path):
        if kind == b"iTXt" and chunk.startswith(_KEY + b"\0\1\0\0\0"):
            unpacker = zlib.decompressobj()
            try:
                text = unpacker.decompress(chunk[len(_KEY) + 5 :], LARGEST).decode()
            except (zlib.error, UnicodeDecodeError):
                raise DocumentError("The document in this picture is damaged.", path) from None
            return parse(text, path)
    raise DocumentError("There is no document in this picture: only PNGs that Netwright exported have one.", path)


def _chunks(picture: bytes, path: str | Path) -> Iterator[tuple[bytes, bytes]]:
    """Type and data of each chunk. Raises DocumentError for what is no PNG, or ends in the middle."""
    if not picture.startswith(_SIGNATURE):
        raise DocumentError("This is no PNG picture.", path)
    at = len(_SIGNATURE)
    while at < len(picture):
        if at + 12 > len(picture):
            raise DocumentError("This picture ends in the middle; copy it again.", path)
        length, kind = struct.unpack(">I4s", picture[at : at + 8])
        if at + 12 + length > len(picture):
            raise DocumentError("This picture ends in the middle; copy it again.", path)
        yield kind, picture[at + 8 : at + 8 + length]
        at += 12 + length


def _pack(kind: bytes, chunk: bytes) -> bytes:
    return struct.pack(">I", len(chunk)) + kind + chunk + struct.pack(">I", zlib.crc32(kind + chunk))
