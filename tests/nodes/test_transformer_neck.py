"""RT-DETR's neck and its attention: figures of the table, torch's own layer with the same weights, places by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nodes.attention.aifi import AIFI, positions
from nodes.necks.hybrid_encoder import transformer_neck
from tests.nodes.test_reference import Case, map_case, run


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_aifi_is_as_large_as_the_table_says() -> None:
    case = map_case("ultralytics", "AIFI(256,1024,8)", lambda *_: AIFI(256), 256, (1, 256, 12, 20))
    built, shapes, _ = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert shapes == [(1, 256, 20, 20)]
    assert run(case, list(case.wide))[1] == list(case.wide_out)


def test_the_neck_is_as_large_as_the_table_says() -> None:
    variant = "RTDetrHybridEncoder(256; AIFI on P5 + CCFM/PAN)"
    case = Case("transformers", variant, lambda *s: transformer_neck.build(*s), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == case.shapes()
    with torch.device("meta"):
        wide = transformer_neck.build((1, 512, 12, 20), (1, 1024, 6, 10), (1, 2048, 3, 5))
        # Three 1x1 convolutions with norms in front of it.
        assert params_of(wide) == int(case.row["params"]) + 256 * (512 + 1024 + 2048) + 3 * 512
        found = wide(*(torch.empty(2, c, 12 >> i, 20 >> i) for i, c in enumerate((512, 1024, 2048))))
    assert [tuple(x.shape) for x in found] == [(2, 256, 12, 20), (2, 256, 6, 10), (2, 256, 3, 5)]


@torch.no_grad()
def test_aifi_is_torchs_layer_with_places_on_queries_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nn.TransformerEncoderLayer` adds no places; without them both give the same."""
    torch.manual_seed(0)
    theirs = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, dropout=0.0).eval()
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.3)
    ours = AIFI(16, 4, 32).eval()
    weight, bias = theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias
    ours.load_state_dict(
        {
            "qk.weight": weight[:32], "qk.bias": bias[:32], "v.weight": weight[32:], "v.bias": bias[32:],
            "out.weight": theirs.self_attn.out_proj.weight, "out.bias": theirs.self_attn.out_proj.bias,
            **{f"fc{i}.{k}": getattr(getattr(theirs, f"linear{i}"), k) for i in (1, 2) for k in ("weight", "bias")},
            **{f"norm{i}.{k}": getattr(getattr(theirs, f"norm{i}"), k) for i in (1, 2) for k in ("weight", "bias")},
        }
    )  # fmt: skip
    x = torch.randn(2, 16, 3, 5)
    with_places = ours(x)
    monkeypatch.setattr("nodes.attention.aifi.positions", lambda c, h, w, device: torch.zeros(h * w, c))
    want = theirs(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, (3, 5))
    torch.testing.assert_close(ours(x), want, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(with_places, want, atol=1e-2)


def test_places_by_hand() -> None:
    """8 channels: two wavelengths, 1 and 1/100. Cell (row 2, column 1) of 3 x 4 is token 9."""
    found = positions(8, 3, 4, torch.device("cpu"))
    assert found.shape == (12, 8)
    want = [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    want += [math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    assert found[9].tolist() == pytest.approx(want, abs=1e-6)


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"12 channels come in.* to 32 channels"):
        AIFI(12)
