"""Goes through a whole data set and lists every bad file and label; never stops at the first one. Imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from designer.data.check_labels import ENTRIES, Entry, Finding, Size
from designer.data.pixels import BROKEN, is_turned
from designer.data.readers import files_of
from designer.graph.training import DataSettings

Progress = Callable[[int, int], None]
"""Called with how many images were looked at, and of how many."""
EVERY = 16
"""Images between two calls of the progress."""


@dataclass
class CheckReport:
    """What was found; `cancelled` when not all was looked at."""

    findings: list[Finding] = field(default_factory=list)
    images: int = 0
    cancelled: bool = False

    @property
    def errors(self) -> int:
        return sum(f.severity == "error" for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "errors": self.errors, "warnings": len(self.findings) - self.errors}


def check_data(
    settings: DataSettings,
    progress: Progress = lambda _done, _total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> CheckReport:
    """Reads every image and every label of a data set.

    Args:
        settings: the document's data section.
        progress: told how far it is.
        cancelled: asked before each image; what was found until then is given.

    Returns:
        A row for each thing wrong, errors before warnings, then by file and line.

    Raises:
        DataError: for the built-in shapes and when no data set is chosen.
    """
    report = CheckReport()
    entries, findings = ENTRIES[settings.kind](files_of(settings), settings.train, settings.val)
    report.findings += findings
    seen: dict[bytes, Entry] = {}
    for done, entry in enumerate(entries):
        if cancelled():
            report.cancelled = True
            break
        if done % EVERY == 0:
            progress(done, len(entries))
        size, found = check_image(entry.image)
        found = [*found, *entry.check(size), *(_duplicate(entry, seen) if size is not None else [])]
        report.findings += [replace(one, image=str(entry.image)) for one in found]
        report.images += 1
    progress(report.images, len(entries))
    report.findings.sort(key=lambda f: (f.severity != "error", f.file, f.line))
    return report


def check_image(path: Path) -> tuple[Size | None, list[Finding]]:
    """Width and height of an image that decodes to its last row; else None and what is wrong with it."""
    if not path.is_file():
        return None, [Finding("error", str(path), 0, "The image is not there.", "Add it, or take its labels out.")]
    try:
        with Image.open(path) as image:
            image.load()
            return image.size, [_turned(path)] if is_turned(image) else []
    except BROKEN as error:
        cut = "truncated" in str(error)
        what = "The image ends too early." if cut else "The image cannot be read."
        return None, [Finding("error", str(path), 0, what, "Copy it again from its source, or remove it.")]


def _turned(path: Path) -> Finding:
    what = "The camera's note (EXIF) turns the picture; training reads the pixels as they are stored."
    return Finding("warning", str(path), 0, what, "If the labels lie on the turned picture, store it turned.")


def _duplicate(entry: Entry, seen: dict[bytes, Entry]) -> list[Finding]:
    """An image whose bytes were seen before: a leak where the parts differ, as validation then measures memory."""
    digest = hashlib.blake2b(entry.image.read_bytes(), digest_size=16).digest()
    first = seen.setdefault(digest, entry)
    if first is entry:
        return []
    where, file = str(first.image), str(entry.image)
    if first.part != entry.part:
        what = f"The same picture is in {first.part}: {where}."
        remedy = f"Remove it from {entry.part}, or figures of the validation are too good."
        return [Finding("error", file, 0, what, remedy)]
    return [Finding("warning", file, 0, f"The same picture is in {entry.part} twice: {where}.", "Remove one of them.")]
