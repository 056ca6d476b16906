"""Two documents compared in the window, and the picture as a file."""

import pytest
from PySide6.QtGui import QImage

from designer.graph.document import Document
from designer.graph.errors import EditError
from designer.ui import theme
from designer.ui.compare_page import compare_with, save_diff_picture


def test_a_document_is_compared_with_a_file(quiet_window, tmp_path):
    window = quiet_window
    window.open_quick_start()
    document = window.workspace.document
    before = document.data.model_copy(deep=True)
    other = Document(before.model_copy(deep=True)).save(tmp_path / "before.netwright")
    document.rename(document.data.nodes[1], "Trunk")
    compare_with(window, other)
    page = window.side.current
    assert page.title == "before → Quick start"
    assert window.document_tabs.count() == 2
    for name in ("light", "dark"):
        theme.manager.set_theme(name, remember=False)
        image = page.view.grab().toImage()
        found = {image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}
        assert len(found) > 4
    window.commands["zoom_100"].trigger()
    assert page.view.transform().m11() == 1
    window.commands["close"].trigger()
    assert window.workspace.document is document
    broken = tmp_path / "broken.netwright"
    broken.write_text("{")
    compare_with(window, broken)
    assert "cut off" in window.messages.text()

    for suffix in ("png", "svg"):
        save_diff_picture(before, document.data, tmp_path / f"diff.{suffix}", dark=False)
    assert QImage(str(tmp_path / "diff.png")).width() > 600
    assert "Trunk" in (tmp_path / "diff.svg").read_text(encoding="utf-8")
    with pytest.raises(EditError, match=r"as \.png or \.svg"):
        save_diff_picture(before, document.data, tmp_path / "diff.gif", dark=False)
    with pytest.raises(EditError, match="cannot be written"):
        save_diff_picture(before, document.data, tmp_path / "nowhere" / "diff.png", dark=False)
