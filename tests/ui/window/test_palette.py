"""The palette finds components, adds them by double-click and Enter, and drags their id."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from designer.ui.palette import MIME, Palette, search
from nodes.sdk.spec import Catalogue, ComponentSpec, Port


def component(identity, name, category, summary="", aliases=()):
    port = (Port("x", "map", "B C H W"),)
    return ComponentSpec(identity, name, category, summary, aliases=aliases, inputs=port, outputs=port)


CATALOGUE = Catalogue(
    [
        component("conv.conv_norm_act", "ConvNormAct", "conv", "Convolution, norm, activation."),
        component("attention.channel.squeeze_excite", "SqueezeExcite", "attention/channel", "Reweights.", ("SE",)),
        component("io.image_input", "ImageInput", "io", "The image."),
        component("neck.fpn", "FPN", "neck", "Adds maps from the top down by convolution."),
    ]
)


@pytest.fixture
def palette(home, qtbot):
    made = Palette()
    qtbot.addWidget(made)
    made.resize(240, 500)
    made.set_catalogue(CATALOGUE)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_search_ranks_names_before_summaries():
    assert [s.name for s in search(CATALOGUE, "conv")] == ["ConvNormAct", "FPN"]
    assert search(CATALOGUE, "se")[0].name == "SqueezeExcite"
    assert [s.name for s in search(CATALOGUE, "channel reweights")] == ["SqueezeExcite"]
    assert search(CATALOGUE, "nothing of the sort") == []


def test_what_is_called_like_the_words_comes_before_shorter_names_with_such_an_alias():
    named = [
        component("attention.cbam", "CBAM", "attention", aliases=("Convolutional block attention",)),
        component("conv.conv_norm", "ConvNorm", "conv"),
        component("conv.conv", "Conv", "conv"),
    ]
    assert [s.name for s in search(Catalogue(named), "conv")] == ["Conv", "ConvNorm", "CBAM"]
    assert [s.name for s in search(Catalogue(named), "convo")] == ["CBAM"]


def test_groups_follow_the_way_of_the_image(palette):
    assert palette.shown_ids() == [
        "io.image_input",
        "conv.conv_norm_act",
        "attention.channel.squeeze_excite",
        "neck.fpn",
    ]


def test_typing_filters_and_enter_adds(palette, qtbot):
    QTest.keyClicks(palette.search, "squeeze")
    assert palette.shown_ids() == ["attention.channel.squeeze_excite"]
    with qtbot.waitSignal(palette.add_requested) as added:
        QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert added.args == ["attention.channel.squeeze_excite"]
    palette.search.setText("zzz")
    assert palette.empty.isVisible()
    assert "zzz" in palette.empty.text()


def test_double_click_adds(palette, qtbot):
    tree = palette.tree
    row = tree.items.item(0).child(0).index()
    tree.scrollTo(row)
    with qtbot.waitSignal(palette.add_requested) as added:
        qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=tree.visualRect(row).center())
        qtbot.mouseDClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=tree.visualRect(row).center())
    assert added.args == ["io.image_input"]


def test_a_click_on_a_group_folds_it_and_is_remembered(palette, qtbot, home):
    tree = palette.tree
    heading = tree.items.item(0).index()
    qtbot.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=tree.visualRect(heading).center())
    assert not tree.isExpanded(tree.items.item(0).index())
    again = Palette()
    qtbot.addWidget(again)
    again.set_catalogue(CATALOGUE)
    assert not again.tree.isExpanded(again.tree.items.item(0).index())


def test_a_drag_carries_the_id(palette, monkeypatch):
    carried = []
    monkeypatch.setattr(
        "designer.ui.palette.QDrag.exec", lambda drag, *_: carried.append(bytes(drag.mimeData().data(MIME).data()))
    )
    palette.tree.setCurrentIndex(palette.tree.items.item(1).child(0).index())
    palette.tree.startDrag(Qt.DropAction.CopyAction)
    assert carried == [b"conv.conv_norm_act"]
