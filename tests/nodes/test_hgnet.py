"""HGNetV2: figures of the table, shortcuts and deployment; equality with timm is in test_numerics_classic."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from nodes.backbones.hgnet import SIZES, hgnet
from nodes.hg import HGBlock, HGStem, LearnedAffine
from nodes.necks.hybrid_encoder import RepCSPSum
from nodes.reparam import fuse
from tests.nodes.test_reference import Case, Shape, map_case, module, run
from tests.nodes.test_reference import test_row as check_row

CASES = [
    Case("ultralytics", "HGStem(3,32,48)", module(HGStem, 3, 48, 32), ((2, 3, 64, 96),), ((2, 48, 16, 24),)),
    # The row's name has a kernel of 3; its parameters and MACs are those of RT-DETR's kernel of 5.
    map_case(
        "ultralytics", "HGBlock(256,96,256,3,6,lightconv=True)", module(HGBlock, 256, 256, 96, 6, 5, light=True), 256,
        (1, 256, 12, 20),
    ),
    map_case("ultralytics", "RepC3(256,256,3)", module(RepCSPSum, 256, 256, 3), 256, (1, 256, 12, 20)),
]  # fmt: skip


class Classifier(nn.Module):
    """The published classifier behind the backbone: average pool, 1x1 with ReLU, and affine where the size has it."""

    def __init__(self, shape: Shape, size: str) -> None:
        super().__init__()
        self.backbone = hgnet.build(shape, size=size)
        self.last = nn.Conv2d(SIZES[size].stages[-1][1], 2048, 1, bias=False)
        self.act = nn.Sequential(nn.ReLU(), *[LearnedAffine() for _ in range(SIZES[size].affine)])
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.backbone(x)[-1].mean((2, 3), keepdim=True)
        return self.fc(self.act(self.last(pooled)).flatten(1))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.variant)
def test_block(case: Case) -> None:
    check_row(case)


@pytest.mark.parametrize("size", SIZES)
def test_classifier(size: str) -> None:
    case = Case("timm", f"hgnetv2_{size}", partial(Classifier, size=size), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert sum(p.numel() for p in built.parameters()) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 1000)]
    features = sum(p.numel() for p in built.backbone.parameters())
    assert f"feat_params={features}" in case.row["note"]
    found = run(Case("timm", case.variant, lambda *_: built.backbone, (), ()), [(2, 3, 160, 256)])[1]
    assert found == [(2, stage[1], 40 >> i, 64 >> i) for i, stage in enumerate(SIZES[size].stages)]


@torch.no_grad()
def test_the_input_is_added_where_the_channels_stay() -> None:
    torch.manual_seed(0)
    plain, adding = HGBlock(16, 16, 8, 2), HGBlock(16, 16, 8, 2, shortcut=True)
    adding.load_state_dict(plain.state_dict())
    x = torch.randn(2, 16, 5, 7)
    torch.testing.assert_close(adding.eval()(x), plain.eval()(x) + x)
    assert not HGBlock(16, 32, 8, 2, shortcut=True).add


@torch.no_grad()
def test_a_backbone_with_affines_deploys() -> None:
    torch.manual_seed(0)
    model = hgnet.build((1, 3, 64, 96), size="b0").eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 1.5)
        if isinstance(part, LearnedAffine):
            part.scale.uniform_(0.5, 1.5)
            part.bias.uniform_(-0.5, 0.5)
    deployed = fuse(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    image = torch.rand(1, 3, 64, 96)
    for found, wanted in zip(deployed(image), model(image), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("make", "said"), [
    (partial(HGStem, 3, 48, 31), "width is 31, must be even. Use 32"),
    (partial(HGBlock, 8, 33), "out_channels is 33, must be even. Use 34"),
])  # fmt: skip
def test_odd_channels_are_refused(make: partial[nn.Module], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
