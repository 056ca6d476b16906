"""torchvision's detectors, trained on COCO: RetinaNet, FCOS and SSD300, each by backbone, neck and head."""

from __future__ import annotations

from nodes.weights import Pretrained, Rename
from nodes.weights.mobile import by_prefix
from nodes.weights.resnet import RENAME as RESNET

RETINANET, FCOS, SSD = "retinanet_resnet50_fpn", "fcos_resnet50_fpn", "ssd300_vgg16"


def _below(prefix: str, rename: Rename) -> Rename:
    """A map for the keys below a prefix; the others have no place."""
    return lambda key: rename(key[len(prefix) :]) if key.startswith(prefix) else None


def _pyramid() -> Rename:
    """FPN on C3 to C5 with P6 and P7."""
    prefixes = {"extra_blocks.p6": "output6.conv", "extra_blocks.p7": "output7.conv"}
    for i in range(3):
        prefixes |= {f"inner_blocks.{i}.0": f"lateral{i + 3}.conv", f"layer_blocks.{i}.0": f"output{i + 3}.conv"}
    return _below("backbone.fpn.", by_prefix(prefixes))


def _towers(places: dict[int, int]) -> Rename:
    """Two towers that all levels share; `places` says where a layer of theirs stands in ours."""
    names = (("classification_head", "cls"), ("regression_head", "box"))
    prefixes = {
        "classification_head.cls_logits": "cls_out", "regression_head.bbox_reg": "box_out",
        "regression_head.bbox_ctrness": "centerness_out",
    }  # fmt: skip
    for theirs, ours in names:
        prefixes |= {f"{theirs}.conv.{i}": f"{ours}_tower.{place}" for i, place in places.items()}
        prefixes |= {f"{theirs}.conv.{i}.0": f"{ours}_tower.{place}" for i, place in places.items()}
    return _below("head.", by_prefix(prefixes))


def _ssd_backbone() -> Rename:
    places = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21)}
    prefixes = {
        f"features.{place}": f"stage{stage}.conv{i + 1}.conv"
        for stage, stands in places.items()
        for i, place in enumerate(stands)
    }
    prefixes |= {f"extra.0.{place}": f"stage5.conv{i + 1}.conv" for i, place in enumerate((1, 3, 5))}
    prefixes |= {"extra.0.7.1": "fc.fc6", "extra.0.7.3": "fc.fc7"}
    for i in range(1, 5):
        prefixes |= {f"extra.{i}.0": f"extra{i + 4}.narrow", f"extra.{i}.2": f"extra{i + 4}.conv"}
    rename = by_prefix(prefixes)
    return _below("backbone.", lambda key: "scale.weight" if key == "scale_weight" else rename(key))


def _ssd_head() -> Rename:
    names = (("classification_head", "cls"), ("regression_head", "box"))
    prefixes = {f"{t}.module_list.{i}": f"{o}_outs.{i}" for t, o in names for i in range(6)}
    return _below("head.", by_prefix(prefixes))


_BODY, _NECK = _below("backbone.body.", RESNET), _pyramid()
_SHAPE = {"channels": 256, "extra_from": "p5"}

PRETRAINED = (
    *(Pretrained("backbone.resnet", {"depth": 50}, "torchvision", model, _BODY) for model in (RETINANET, FCOS)),
    *(Pretrained("neck.fpn_p3_p7", _SHAPE, "torchvision", model, _NECK) for model in (RETINANET, FCOS)),
    Pretrained(
        "head.retina_net_head", {"tower_depth": 4, "norm": False}, "torchvision", RETINANET,
        _towers({i: 2 * i for i in range(4)}),
    ),
    Pretrained("head.fcos_head", {"tower_depth": 4}, "torchvision", FCOS, _towers({i: i for i in range(12)})),
    Pretrained("backbone.ssd_vgg", {}, "torchvision", SSD, _ssd_backbone()),
    Pretrained("head.ssd_head", {}, "torchvision", SSD, _ssd_head()),
)  # fmt: skip
