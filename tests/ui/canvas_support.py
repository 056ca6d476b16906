"""What the tests of the canvas share: a small catalogue, and a mouse that presses, moves and lets go."""

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from designer.ui.canvas.frames import FrameItem
from designer.ui.palette import MIME
from nodes.sdk.spec import Catalogue, ComponentSpec, Param, Port

ONE, OUT, MANY = (Port("x", "map"),), (Port("out", "map"),), (Port("xs", "map", variadic=True),)
LEVELS_IN, LEVELS_OUT = (Port("c3", "map"), Port("c4", "map")), (Port("p3", "map"), Port("p4", "map"))
BOXES, FOUND = (Port("out", "predictions"),), (Port("out", "detections"),)
SIZES = (Param("out_channels", "int", 64), Param("kernel_size", "int", 3))
CATALOGUE = Catalogue(
    (
        ComponentSpec("io.image", "Image", "io", "Gives images.", outputs=OUT, role="input"),
        ComponentSpec(
            "conv.conv", "Conv", "conv", "Convolves.", inputs=ONE, outputs=OUT, params=SIZES, aliases=("convolution",)
        ),
        ComponentSpec("fusion.concat", "Concat", "fusion", "Joins.", inputs=MANY, outputs=OUT),
        ComponentSpec("neck.fpn", "FPN", "neck", "Pyramid.", inputs=LEVELS_IN, outputs=LEVELS_OUT),
        ComponentSpec("head.head", "Head", "head", "Predicts.", inputs=ONE, outputs=BOXES, role="head"),
        ComponentSpec("post.nms", "NMS", "post", "Filters.", inputs=(Port("p", "predictions"),), outputs=FOUND),
    )
)

LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
NONE = Qt.KeyboardModifier.NoModifier


def point(view, scene):
    """The viewport point of a scene point."""
    return view.viewer.mapFromScene(QPointF(*scene) if isinstance(scene, tuple) else scene)


def port_point(view, node, name, is_input):
    node_id = node if isinstance(node, str) else node.id
    return point(view, view.nodes[node_id].ports[is_input, name].centre())


def drag(view, start, end, button=LEFT, keys=NONE, *, release=True):
    """Presses at one viewport point, moves in small steps to another and lets go there."""
    port = view.viewer.viewport()
    QTest.mouseMove(port, start)
    QTest.mousePress(port, button, keys, start)
    for i in range(1, 9):
        QTest.mouseMove(port, start + (end - start) * i / 8)
    if release:
        QTest.mouseRelease(port, button, keys, end)


def click(view, at, keys=NONE):
    QTest.mouseClick(view.viewer.viewport(), LEFT, keys, at)


def wire_by_mouse(view, source, target, source_port="out", target_port="x"):
    """Drags from an output to an input."""
    drag(view, port_point(view, source, source_port, False), port_point(view, target, target_port, True))


def drop(view, component, at):
    """Drops a component from the palette at a viewport point."""
    port = view.viewer.viewport()
    mime = QMimeData()
    mime.setData(MIME, component.encode())
    copy = Qt.DropAction.CopyAction
    for kind, place in ((QDragEnterEvent, at), (QDragMoveEvent, at), (QDropEvent, QPointF(at))):
        event = kind(place, copy, mime, LEFT, NONE)
        QApplication.sendEvent(port, event)
        assert event.isAccepted()


def far_from(at, dx, dy):
    return at + QPoint(dx, dy)


def is_mirror(view):
    """What is drawn that is not in the document, or the other way round; nothing when the two are equal.

    Places are compared as Qt does, which sets no item to a place that is another by a rounding only.
    """
    data = view.document.data
    wrong = []
    nodes = {n.id: n for n in data.nodes}
    if view.nodes.keys() != nodes.keys():
        wrong.append(("nodes", view.nodes.keys() ^ nodes.keys()))
    wires = {w.id: w for w in data.wires if w.source in nodes and w.target in nodes}
    if view.wires.keys() != wires.keys():
        wrong.append(("wires", view.wires.keys() ^ wires.keys()))
    for key, item in view.nodes.items():
        node = nodes.get(key)
        if node is not None and (QPointF(node.x, node.y) != item.pos() or node.title != item.name):
            wrong.append(("node", key))
    for key, item in view.wires.items():
        if key in wires and (*item.output_port.key, *item.input_port.key) != wires[key].ends:
            wrong.append(("ends", key))
        if key in wires and [p.pos() for p in item.point_items] != [QPointF(*at) for at in wires[key].points]:
            wrong.append(("points", key))
        ends = item.path().elementAt(0), item.path().elementAt(item.path().elementCount() - 1)
        drawn = (QPointF(ends[0].x, ends[0].y), QPointF(ends[1].x, ends[1].y))
        if drawn != (item.output_port.centre(), item.input_port.centre()):
            wrong.append(("course", key))
    scene = view.viewer.scene()
    drawn_nodes, drawn_wires = view.viewer.all_nodes(), view.viewer.all_pipes()
    if {id(i) for i in drawn_nodes} != {id(i) for i in view.nodes.values()}:
        wrong.append(("items", len(drawn_nodes)))
    if {id(i) for i in drawn_wires} != {id(i) for i in view.wires.values()}:
        wrong.append(("pipes", len(drawn_wires)))
    groups = {g.id: g for g in data.groups}
    if view.mirror.frames.keys() != groups.keys():
        wrong.append(("frames", view.mirror.frames.keys() ^ groups.keys()))
    if {id(i) for i in scene.items() if isinstance(i, FrameItem)} != {id(i) for i in view.mirror.frames.values()}:
        wrong.append(("frame items", ""))
    for key, frame in view.mirror.frames.items():
        if key in groups and [i.id for i in frame.members] != groups[key].nodes:
            wrong.append(("members", key))
        around = frame.is_folded or all(frame.scene_box().contains(i.scene_card()) for i in frame.members)
        if not around or any(i.frame is None or i.isVisible() == frame.is_folded for i in frame.members):
            wrong.append(("frame box", key))
    if any(i.scene() is not scene for i in view.nodes.values()):
        wrong.append(("scene", ""))
    return wrong
