"""Any timm model as a backbone: levels by stride, some that are not there, frozen stages, names to choose from."""

import pytest
import timm
import torch
from torch import nn

from designer.engine.propagate import propagate
from designer.graph import Document
from nodes.backbones.timm_backbone import TimmBackbone
from nodes.sdk.discover import library


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        ("resnet18", (64, 64, 128, 256, 512)),
        ("swin_tiny_patch4_window7_224", (None, 96, 192, 384, 768)),
        ("vit_tiny_patch16_224", (None, None, None, 192, None)),
        ("vit_small_patch14_dinov2", (None, None, None, 384, None)),
        ("vgg11", (128, 256, 512, 512, 512)),
    ],
)
def test_levels_are_those_of_the_model(model, channels):
    with torch.device("meta"):
        backbone = TimmBackbone(3, model).eval()
        side = 518 if "dinov2" in model else 224
        maps = backbone(torch.empty(1, 3, side, side))
    assert tuple(m.shape[1] if m is not None else None for m in maps) == channels
    if "dinov2" not in model:
        assert [side // m.shape[-1] for m in maps if m is not None] == [
            s for s, c in zip((2, 4, 8, 16, 32), channels, strict=True) if c
        ]


@torch.no_grad()
def test_maps_are_timms_own():
    torch.manual_seed(0)
    ours, image = TimmBackbone(3, "mobilenetv3_small_050").eval(), torch.rand(1, 3, 64, 64)
    theirs = timm.create_model("mobilenetv3_small_050", features_only=True).eval()
    theirs.load_state_dict(ours.model.state_dict())
    for a, b in zip(ours(image), theirs(image), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("model", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_frozen_stages_have_no_gradient_and_still_norms(model):
    backbone = TimmBackbone(3, model, frozen_stages=2).train()
    moved = [n for n, p in backbone.named_parameters() if p.requires_grad]
    still = [n for n, p in backbone.named_parameters() if not p.requires_grad]
    assert moved
    assert still
    assert any(n.endswith(("conv1.weight", "conv_stem.weight", "pos_embed")) for n in still)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms or (not norms[0].training and norms[-1].training)


def test_a_level_that_is_not_there_is_said_with_a_remedy():
    doc = Document.new("ViT", library().catalogue)
    image = doc.add("io.image_input", height=224, width=224)
    backbone = doc.add("backbone.timm_backbone", title="ViT", model="vit_tiny_patch16_224")
    head = doc.add("head.classification_head", title="Head")
    doc.connect(image, backbone)
    doc.connect(backbone, head, "c5")
    (problem,) = propagate(doc.data).errors
    assert problem.message == "Head: ViT gives nothing at c5 with its settings; it gives c4. Wire one of those."
    doc.apply(problem.fixes[0].edits, problem.fixes[0].label)
    assert propagate(doc.data).errors == []


def test_an_unknown_model_is_refused_in_words():
    with pytest.raises(ValueError, match="no feature maps of a model 'resnet-50'"):
        TimmBackbone(3, "resnet-50")


def test_names_are_offered():
    names = library().suggestions("backbone.timm_backbone", "model")
    assert {"resnet50", "swin_tiny_patch4_window7_224"} <= set(names)
    assert library().suggestions("backbone.resnet", "depth") == []
