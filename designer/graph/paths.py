"""Where shipped files are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path


def assets_dir() -> Path:
    """The folder with templates and icons: `designer/assets` when installed, the top-level `assets` in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "assets"
    return installed if installed.is_dir() else package.parent / "assets"
