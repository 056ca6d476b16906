"""What is inside the composites: nodes and wires a canvas can show, and state_dict keys that read well."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nodes.backbones.csp_darknet import csp_darknet
from nodes.backbones.resnet import resnet
from nodes.necks.fpn import fpn
from nodes.necks.pafpn import pafpn
from nodes.sdk.builder import Composite, Ref, Subgraph
from tests.nodes.fixtures import classifier, yolov8


def expanded(composite: Composite, **params: Any) -> Subgraph:
    spec = composite.__component__
    return composite.expand([p.name for p in spec.inputs], {**spec.defaults(), **params})


def listed(graph: Subgraph) -> dict[str, str]:
    return {node.name: node.spec.id for node in graph.nodes}


def test_resnet_opens_into_stages_and_stages_into_blocks() -> None:
    graph = expanded(resnet, depth=34)
    assert [node.name for node in graph.nodes] == ["stem", "stage1", "stage2", "stage3", "stage4"]
    assert [node.params["depth"] for node in graph.nodes[1:]] == [3, 4, 6, 3]
    assert graph.outputs == {f"c{i + 1}": Ref(f"stage{i}", "out") for i in (1, 2, 3, 4)}
    stage = graph.nodes[3]
    blocks = stage.declared.expand(["x"], dict(stage.params))
    assert listed(blocks) == {f"block{i}": "block.residual.basic_block" for i in range(6)}
    assert [b.params["stride"] for b in blocks.nodes] == [2, 1, 1, 1, 1, 1]


def test_csp_darknet_opens_into_stages() -> None:
    graph = expanded(csp_darknet, size="m")
    assert [node.name for node in graph.nodes] == ["stem", "stage1", "stage2", "stage3", "stage4", "sppf"]
    assert [(n.params["out_channels"], n.params["depth"]) for n in graph.nodes[1:5]] == [
        (96, 2), (192, 4), (384, 4), (576, 2),
    ]  # fmt: skip
    assert graph.outputs["p5"] == Ref("sppf", "out")
    assert graph.outputs["p4"] == Ref("stage3", "out")


def test_pafpn_opens_into_the_two_paths() -> None:
    graph = expanded(pafpn)
    wires = {node.name: [ref.node or ref.port for ref in node.inputs.values()] for node in graph.nodes}
    assert wires == {
        "up5": ["p5"],
        "concat_top_down4": ["up5", "p4"],
        "top_down4": ["concat_top_down4"],
        "up4": ["top_down4"],
        "concat_out3": ["up4", "p3"],
        "out3": ["concat_out3"],
        "down3": ["out3"],
        "concat_out4": ["down3", "top_down4"],
        "out4": ["concat_out4"],
        "down4": ["out4"],
        "concat_out5": ["down4", "p5"],
        "out5": ["concat_out5"],
    }
    assert not any(node.params["shortcut"] for node in graph.nodes if node.spec.name == "C2f")


def test_fpn_opens_into_laterals_merges_and_outputs() -> None:
    names = listed(expanded(fpn))
    assert {names[f"lateral{i}"] for i in (2, 3, 4, 5)} == {"conv.conv"}
    assert {names[f"merge{i}"] for i in (2, 3, 4)} == {"fusion.add"}
    assert {names[f"output{i}"] for i in (2, 3, 4, 5)} == {"conv.conv"}


def keys(composite: Composite, **params: Any) -> set[str]:
    with torch.device("meta"):
        return set(composite.build((1, 3, 64, 64), **params).state_dict())


def test_keys_read_as_a_path_through_the_model() -> None:
    assert keys(classifier, depth=50) >= {
        "backbone.stem.conv.weight",
        "backbone.stage1.block0.skip.0.weight",
        "backbone.stage3.block0.conv1.weight",
        "backbone.stage4.block2.bn3.running_var",
        "head.fc.bias",
    }
    assert keys(yolov8) >= {
        "backbone.stem.conv.weight",
        "backbone.stage2.down.conv.weight",
        "backbone.stage2.c2f.m.1.cv2.bn.weight",
        "backbone.sppf.cv1.conv.weight",
        "neck.top_down4.cv1.conv.weight",
        "neck.out3.m.0.cv1.conv.weight",
        "neck.down4.bn.running_mean",
    }


def test_every_norm_of_yolov8_is_set_as_the_family_does() -> None:
    with torch.device("meta"):
        model = yolov8.build((1, 3, 64, 64))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    # 27 in the backbone, 18 in the neck, 12 in the head
    assert len(norms) == 57
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.03)}
