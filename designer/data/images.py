"""Images from files, and a cache of the fitted ones: in memory that all workers share, or on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import platformdirs
import psutil
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from designer.data.pixels import BROKEN, as_rgb
from designer.data.transforms import resized_to_fit

SHARE = 0.5
"""Most of the free memory, or of the free disk, that a cache takes."""

Fitted = tuple[Tensor, tuple[int, int]]
"""An image uint8 [3, h, w] that fits the model's input, and height and width of the original."""


def read_image(path: Path) -> Tensor | None:
    """uint8 [3, H, W] of an image file; None for one that cannot be read, which the trainer names and counts.

    A plain JPEG is decoded by torchvision, which took 3.5 ms where PIL took 4.8 ms (640 x 640 pixels with noise) and
    gives the same pixels; everything else, and what torchvision refuses, by PIL.
    """
    try:
        with Image.open(path) as image:
            if image.format == "JPEG" and image.mode == "RGB":
                with contextlib.suppress(RuntimeError):
                    return decode_jpeg(read_file(str(path)), ImageReadMode.RGB)
            return torch.from_numpy(np.array(as_rgb(image))).permute(2, 0, 1)
    except BROKEN:
        return None


class Cache(Protocol):
    """Where fitted images are kept; `notes` are sentences for the person who trains."""

    notes: list[str]

    def get(self, index: int) -> Fitted | None:
        """The image, or None when it is not there."""

    def put(self, index: int, image: Tensor, original: tuple[int, int]) -> None:
        """Keeps an image if there is room."""


def read_fitted(path: Path, index: int, size: tuple[int, int], cache: Cache) -> Fitted | None:
    """An image file as large as fits `size`, from the cache where it is in there; None if it cannot be read."""
    found = cache.get(index)
    if found is None:
        image = read_image(path)
        if image is None:
            return None
        found = resized_to_fit(image, size), (image.shape[-2], image.shape[-1])
        cache.put(index, *found)
    return found


class NoCache:
    """Keeps nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def get(self, index: int) -> Fitted | None:
        return None

    def put(self, index: int, image: Tensor, original: tuple[int, int]) -> None:
        pass


class RecentCache:
    """Keeps the images that were used last.

    Args:
        most: how many.
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most
        self.notes: list[str] = []
        self._kept: OrderedDict[int, Fitted] = OrderedDict()

    def get(self, index: int) -> Fitted | None:
        if (found := self._kept.get(index)) is not None:
            self._kept.move_to_end(index)
        return found

    def put(self, index: int, image: Tensor, original: tuple[int, int]) -> None:
        self._kept[index] = image, original
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)


class MemoryCache:
    """Images in shared memory, taken at the start: whichever worker decodes one first, all have it.

    Args:
        count: images of the data set.
        size: height and width of the model's input, which each image fits.
        room: bytes that may be used; half of the free memory when left out.
    """

    def __init__(self, count: int, size: tuple[int, int], room: int | None = None) -> None:
        each = 3 * size[0] * size[1]
        room = int(SHARE * _free_memory()) if room is None else room
        self.count = min(count, room // each)
        self.notes: list[str] = []
        if self.count < count:
            self.notes.append(
                f"The cache holds {self.count} of {count} images: all need {count * each / 2**30:.1f} GB, and "
                f"{room / 2**30:.1f} GB of memory may be used. Use the disk cache, or smaller images."
            )
        self.pixels = torch.empty(self.count, each, dtype=torch.uint8).share_memory_()
        # Height, width, those of the original; then 1, written last, once the rest is there.
        self.facts = torch.zeros(self.count, 5, dtype=torch.int32).share_memory_()

    def get(self, index: int) -> Fitted | None:
        if index >= self.count or not int(self.facts[index, 4]):
            return None
        height, width, *original = self.facts[index, :4].tolist()
        return self.pixels[index, : 3 * height * width].view(3, height, width), (original[0], original[1])

    def put(self, index: int, image: Tensor, original: tuple[int, int]) -> None:
        if index < self.count:
            self.pixels[index, : image.numel()] = image.reshape(-1)
            self.facts[index, :4] = torch.tensor([*image.shape[-2:], *original], dtype=torch.int32)
            self.facts[index, 4] = 1


class DiskCache:
    """A file an image, named after the image's path, time and length and the model's input, so that none is stale.

    A file is written under another name and then renamed: whoever is killed while writing leaves no half image.

    Args:
        paths: image files.
        size: height and width of the model's input.
        folder: where; the user's cache folder when left out.
    """

    def __init__(self, paths: Sequence[Path], size: tuple[int, int], folder: Path | None = None) -> None:
        self.paths, self.size = paths, size
        self.folder = folder or Path(platformdirs.user_cache_dir("netwright")) / "images"
        self.notes: list[str] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            room = int(SHARE * shutil.disk_usage(self.folder).free)
        except OSError as error:
            self.notes.append(f"There is no disk cache: {self.folder} cannot be written ({error.strerror}).")
            self.wanted: set[int] = set()
            return
        each = 3 * size[0] * size[1]
        missing = [i for i, path in enumerate(paths) if path.exists() and not self._file(i).exists()]
        self.wanted = set(missing[: room // each])
        if len(self.wanted) < len(missing):
            self.notes.append(
                f"The cache takes {len(self.wanted)} of {len(missing)} more images: all need "
                f"{len(missing) * each / 2**30:.1f} GB, and {room / 2**30:.1f} GB at {self.folder} may be used. "
                "Make room there, or use smaller images."
            )

    def get(self, index: int) -> Fitted | None:
        try:
            with self._file(index).open("rb") as file:
                pixels, original = np.load(file), np.load(file)
        except (OSError, ValueError, EOFError):  # not there, or spoilt by others: made anew
            return None
        return torch.from_numpy(pixels), (int(original[0]), int(original[1]))

    def put(self, index: int, image: Tensor, original: tuple[int, int]) -> None:
        if index not in self.wanted:
            return
        with contextlib.suppress(OSError):  # a full disk is no reason to stop
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, image.numpy())
                    np.save(file, np.array(original))
                os.replace(name, self._file(index))
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise

    def _file(self, index: int) -> Path:
        path = self.paths[index]
        state = path.stat()
        text = f"{path.absolute()}:{state.st_mtime_ns}:{state.st_size}:{self.size}"
        return self.folder / f"{hashlib.sha1(text.encode()).hexdigest()}.npy"


def make_cache(kind: str, paths: Sequence[Path], size: tuple[int, int]) -> Cache:
    """The cache of a setting: `off`, `ram` or `disk`."""
    if kind == "ram":
        return MemoryCache(len(paths), size)
    return DiskCache(paths, size) if kind == "disk" else NoCache()


def _free_memory() -> int:
    """Bytes that are free; on Linux no more than the file system that holds shared memory has."""
    free = psutil.virtual_memory().available
    if sys.platform == "linux" and Path("/dev/shm").is_dir():
        free = min(free, shutil.disk_usage("/dev/shm").free)
    return free
