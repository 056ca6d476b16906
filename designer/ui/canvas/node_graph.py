"""NodeGraphQt, imported quickly. What is used of it is named here and nowhere else."""

from __future__ import annotations

from designer.ui.quick_imports import for_node_graph, standing_in

with standing_in(for_node_graph()):
    from NodeGraphQt import NodeGraph as NodeGraph
    from NodeGraphQt.constants import ViewerEnum as ViewerEnum
    from NodeGraphQt.qgraphics.node_abstract import AbstractNodeItem as AbstractNodeItem
    from NodeGraphQt.qgraphics.pipe import PipeItem as PipeItem
    from NodeGraphQt.widgets.viewer import NodeViewer as NodeViewer
