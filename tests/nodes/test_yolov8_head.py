"""YOLOv8's head: its figures, its decoding and loss by hand, awkward targets, other runtimes, and that it learns."""

from __future__ import annotations

import copy
import math
import pickle

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nodes.heads.yolov8 import YOLOv8Head
from nodes.losses.iou import iou
from nodes.post.nms import NMS
from nodes.sdk.build import StructInfo, TensorInfo, output_infos
from nodes.sdk.discover import library

CHANNELS, STRIDES = (64, 128, 256), (8, 16, 32)


def levels(
    batch: int, height: int, width: int, channels: tuple[int, ...] = CHANNELS, device: str = "cpu"
) -> list[Tensor]:
    return [
        torch.randn(batch, c, height // s, width // s, device=device) for c, s in zip(channels, STRIDES, strict=True)
    ]


def targets(*images: list[tuple[float, ...]]) -> dict[str, Tensor]:
    """One list of (x1, y1, x2, y2, label) an image, padded to the longest."""
    most = max(len(rows) for rows in images)
    boxes, labels = torch.zeros(len(images), most, 4), torch.full((len(images), most), -1)
    for i, rows in enumerate(images):
        for j, (*box, label) in enumerate(rows):
            boxes[i, j], labels[i, j] = torch.tensor(box), int(label)
    return {"boxes": boxes, "labels": labels}


def test_parameters_and_macs_are_the_published_ones() -> None:
    """Row `Head:YOLOv8 Detect legacy=True(80,ch=(64,128,256)) yolov8n`: 897,664, 16 of them fixed, 1.81117 GMAC."""
    with torch.device("meta"):
        head = YOLOv8Head(CHANNELS, STRIDES).eval()
    assert sum(p.numel() for p in head.parameters()) == 897_664
    assert sum(p.numel() for p in head.parameters() if p.requires_grad) == 897_648
    with FlopCounterMode(display=False) as counter:
        head(*levels(1, 640, 640, device="meta"))
    assert round(counter.get_total_flops() / 2e9, 5) == 1.81117


def test_shapes_in_training_and_in_eval() -> None:
    head = YOLOv8Head(CHANNELS, STRIDES, num_classes=5)
    raw = head(*levels(2, 64, 96))
    assert [tuple(m.shape) for m in raw] == [(2, 69, 8, 12), (2, 69, 4, 6), (2, 69, 2, 3)]
    found = head.eval()(*levels(2, 64, 96))
    assert found.boxes.shape == (2, 96 + 24 + 6, 4)
    assert found.scores.shape == (2, 126, 5)


def test_channels_and_strides_follow_the_wires() -> None:
    """Built by the library from what arrives: an image of 64 x 96 and three maps, gaps in the numbering allowed."""
    arriving = {
        f"levels.{i}": TensorInfo((1, c, 64 // s, 96 // s))
        for i, c, s in zip((0, 2, 10), CHANNELS, STRIDES, strict=True)
    }
    registry = library()
    with torch.device("meta"):
        head = registry.make("head.yolov8_head", {"num_classes": 7}, arriving, (64, 96))
    assert isinstance(head, YOLOv8Head)
    assert head.strides == STRIDES
    spec = registry.spec("head.yolov8_head")
    assert (spec.role, spec.task) == ("head", "detect")
    names = [p.name for p in spec.settings]
    assert names == ["num_classes", "reg_max", "box_gain", "cls_gain", "dfl_gain", "separable"]
    assert all(p.help for p in spec.settings)
    found = output_infos(spec, head, arriving)["out"]
    assert isinstance(found, StructInfo)
    assert found.to_json() == {"kind": "predictions", "fields": {"boxes": [1, 126, 4], "scores": [1, 126, 7]}}
    post = registry.make("post.nms", {}, {"predictions": found}, (64, 96))
    assert output_infos(registry.spec("post.nms"), post, {"predictions": found})["out"].to_json() == {
        "kind": "detections", "fields": {"boxes": [1, 300, 4], "scores": [1, 300], "labels": [1, 300]}
    }  # fmt: skip


@pytest.mark.parametrize("pixels", [1000, 650, 641, 325, 100, 33])
def test_strides_are_true_where_the_image_is_no_multiple_of_them(pixels: int) -> None:
    """Halving rounds up: 1000 px become 125, 63 and 32 cells, of 8, 16 and 32 px all the same."""
    arriving, cells = {}, pixels
    for level in range(5):
        cells = (cells + 1) // 2
        if level >= 2:
            arriving[f"levels.{level - 2}"] = TensorInfo((1, 16, cells, cells))
    with torch.device("meta"):
        head = library().make("head.yolov8_head", {}, arriving, (pixels, pixels))
    assert head.strides == STRIDES


def test_decode_by_hand() -> None:
    """Two cells of stride 8, centres (4, 4) and (12, 4), reg_max 4, two classes.

    Cell 0 is sure of bins 0, 0, 2, 3 for left, top, right, bottom: box (4, 4, 4 + 16, 4 + 24). Cell 1 is undecided
    everywhere: the mean of 0, 1, 2, 3 is 1.5, so 12 px to each side.
    """
    head = YOLOv8Head((16,), (8,), num_classes=2, reg_max=4)
    raw = torch.zeros(1, 18, 1, 2)
    for side, chosen in enumerate((0, 0, 2, 3)):
        raw[0, side * 4 + chosen, 0, 0] = 100
    raw[0, 16:, 0, 0] = torch.tensor([0.0, math.log(3)])
    found = head.decode((raw,))
    torch.testing.assert_close(found.boxes, torch.tensor([[[4.0, 4, 20, 28], [0, -8, 24, 16]]]))
    torch.testing.assert_close(found.scores, torch.tensor([[[0.5, 0.75], [0.5, 0.5]]]))


def test_decoding_keeps_full_precision_under_autocast() -> None:
    head = YOLOv8Head(CHANNELS, STRIDES, num_classes=3)
    raw = [torch.randn(1, 67, 64 // s, 64 // s) * 3 for s in STRIDES]
    want = head.decode(raw)
    with torch.autocast("cpu", torch.bfloat16):
        got = head.decode(raw)
    assert torch.equal(want.boxes, got.boxes)
    assert torch.equal(want.scores, got.scores)


def test_biases_start_from_few_objects() -> None:
    """Five objects over the 6400 cells of stride 8 in 640 x 640, spread over 10 classes."""
    head = YOLOv8Head(CHANNELS, STRIDES, num_classes=10)
    assert head.cls_towers[0][-1].bias.sigmoid()[0].item() == pytest.approx(5 / 10 / 6400, rel=1e-3)
    assert head.dfl.weight.flatten().tolist() == list(range(16))


def test_loss_by_hand() -> None:
    """One cell of stride 8 at (4, 4), one class, all logits 0, one object (0, 0, 8, 8) around it.

    Each side is predicted as 7.5 bins = 60 px: box (-56, -56, 64, 64), area 14400, IoU 64/14400 = 1/225, same centre
    and shape, so CIoU is the same. The target score is that IoU, and with the sum of scores below 1 nothing is
    divided. box = 7.5 (1 - 1/225)/225; dfl: the target 0.5 lies between bins of probability 1/16, 1.5 ln(16)/225;
    cls: -t ln(1/2) - (1 - t) ln(1/2) = ln 2 whatever t, times 0.5.
    """
    head = YOLOv8Head((16,), (8,), num_classes=1)
    loss = head.loss((torch.zeros(1, 65, 1, 1),), targets([(0, 0, 8, 8, 0)]))
    assert loss["box"].item() == pytest.approx(7.5 * (1 - 1 / 225) / 225, rel=1e-4)
    assert loss["dfl"].item() == pytest.approx(1.5 * math.log(16) / 225, rel=1e-4)
    assert loss["cls"].item() == pytest.approx(0.5 * math.log(2), rel=1e-5)


def test_classes_loss_equals_binary_cross_entropy() -> None:
    """The form used, which skips the zeros, against torch's on the dense targets, read back from the gradient."""
    torch.manual_seed(0)
    head = YOLOv8Head((16,), (8,), num_classes=3)
    raw = torch.randn(1, 67, 4, 4, requires_grad=True)
    cls = head.loss((raw,), targets([(2, 2, 20, 25, 1), (10, 3, 31, 17, 2)]))["cls"] / head.gains["cls"]
    (gradient,) = torch.autograd.grad(cls, raw)
    # With x the logits, t the targets and T their sum or 1: the gradient is (sigmoid(x) - t) / T. Here T is below 1.
    logits = raw[:, 64:].detach()
    wanted = logits.sigmoid() - gradient[:, 64:]
    assert wanted.min() > -1e-6
    assert 0 < wanted.sum() < 1
    assert (wanted > 1e-6).sum() == 6 + 6 - 2  # cells whose centres lie in either object, two of them in both
    dense = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    assert cls.item() == pytest.approx(dense.item(), rel=1e-5)


def test_loss_does_not_grow_with_the_batch() -> None:
    torch.manual_seed(0)
    head = YOLOv8Head(CHANNELS, STRIDES, num_classes=4)
    raw = [torch.randn(1, 68, 64 // s, 64 // s) for s in STRIDES]
    image = [(3.0, 5.0, 40.0, 60.0, 1), (20.0, 2.0, 62.0, 30.0, 3), (1.0, 1.0, 64.0, 64.0, 0)]
    one = head.loss(raw, targets(image))
    four = head.loss([m.repeat(4, 1, 1, 1) for m in raw], targets(image, image, image, image))
    assert one["cls"].item() > four["cls"].item() * 0.99  # a total below 1 counts as 1, for one image alone
    total = {k: four[k] / one[k] for k in one}
    assert max(total.values()) / min(total.values()) == pytest.approx(1, abs=1e-4)


AWKWARD = {
    "no objects in the batch": targets([], []),
    "only padding": {"boxes": torch.zeros(2, 3, 4), "labels": torch.full((2, 3), -1)},
    "one image empty": targets([(8, 8, 40, 40, 0)], []),
    "tiny": targets([(10, 10, 10.01, 10.01, 0), (31.5, 31.5, 32.5, 32.5, 0)], [(0, 0, 1, 1, 0)]),
    "empty and inverted": targets([(10, 10, 10, 30, 0), (40, 40, 20, 20, 0)], [(5, 5, 5, 5, 0)]),
    "touching": targets([(0, 0, 32, 64, 0), (32, 0, 64, 64, 0)], [(0, 0, 64, 32, 0), (0, 32, 64, 64, 0)]),
    "repeated": targets([(8, 8, 40, 40, 0)] * 5, [(8, 8, 40, 40, 0)] * 2),
    "outside the image": targets([(-500, -500, -400, -400, 0), (-30, -30, 10, 10, 0)], [(60, 60, 900, 900, 0)]),
    "larger than the bins reach": targets([(-5000, -5000, 5000, 5000, 0)], [(0, 0, 64, 64, 0)]),
    "more objects than cells": targets([(i % 60, i // 60, i % 60 + 4, i // 60 + 4, 0) for i in range(300)], []),
}


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("num_classes", [1, 1000])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_loss_and_gradients_are_finite(name: str, num_classes: int, scale: float) -> None:
    """Every parameter gets a gradient (DDP needs that), also from saturated maps."""
    torch.manual_seed(0)
    head = YOLOv8Head((16, 16, 16), STRIDES, num_classes=num_classes)
    raw = [m * scale for m in head(*levels(2, 64, 64, (16, 16, 16)))]
    loss = head.loss(raw, AWKWARD[name])
    assert all(torch.isfinite(v) and v.ndim == 0 and v.dtype == torch.float32 and v >= 0 for v in loss.values())
    sum(loss.values()).backward()
    for key, parameter in head.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
    if name in ("no objects in the batch", "only padding"):
        assert loss["box"] == loss["dfl"] == 0


def test_half_precision_maps_give_the_loss_in_float32() -> None:
    torch.manual_seed(0)
    head = YOLOv8Head(CHANNELS, STRIDES, num_classes=3)
    maps, wanted = levels(2, 64, 64), targets([(8, 8, 40, 40, 0)], [(20, 5, 60, 50, 2)])
    full = head.loss(head(*maps), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        raw = head(*maps)
        half = head.loss(raw, wanted)
    assert raw[0].dtype == torch.bfloat16
    assert all(v.dtype == torch.float32 for v in half.values())
    for name in full:
        assert half[name].item() == pytest.approx(full[name].item(), rel=0.05)
    sum(half.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.requires_grad)


def test_class_index_beyond_the_head_is_said_in_words() -> None:
    head = YOLOv8Head((16,), (8,), num_classes=3)
    with pytest.raises(ValueError, match=r"class index 5.*3 classes.*num_classes to 6 or more"):
        head.loss((torch.zeros(1, 67, 4, 4),), targets([(0, 0, 8, 8, 5)]))


def test_data_parallel_training_survives_a_batch_without_objects() -> None:
    """DDP stops at the second step when a parameter got no gradient in the first."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        head = YOLOv8Head((16, 16, 16), STRIDES, num_classes=2)
        parallel = nn.parallel.DistributedDataParallel(head)
        for wanted in (targets([], []), targets([(8, 8, 40, 40, 0)], []), targets([], [])):
            sum(head.loss(parallel(*levels(2, 64, 64, (16, 16, 16))), wanted).values()).backward()
    finally:
        torch.distributed.destroy_process_group()


class Tiny(nn.Module):
    """The smallest detector: strided convolutions, the head, NMS in eval."""

    def __init__(self, num_classes: int = 3, **nms: float) -> None:
        super().__init__()
        self.c3 = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.SiLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.SiLU(),
            nn.Conv2d(32, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.SiLU(),
        )  # fmt: skip
        self.c4 = nn.Sequential(nn.Conv2d(32, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.SiLU())
        self.c5 = nn.Sequential(nn.Conv2d(32, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.SiLU())
        self.head = YOLOv8Head((32, 32, 32), STRIDES, num_classes=num_classes)
        self.nms = NMS(**nms)  # type: ignore[arg-type]

    def forward(self, x: Tensor):
        c3 = self.c3(x)
        c4 = self.c4(c3)
        out = self.head(c3, c4, self.c5(c4))
        return out if self.training else self.nms(out)


def rectangles() -> tuple[Tensor, dict[str, Tensor]]:
    """Four images of 96 x 96 px with one or two rectangles, the class being the colour channel."""
    rows = [
        [(10.0, 12.0, 50.0, 40.0, 0)],
        [(40.0, 30.0, 90.0, 92.0, 1), (4.0, 60.0, 30.0, 90.0, 2)],
        [(20.0, 20.0, 36.0, 70.0, 2)],
        [(2.0, 2.0, 94.0, 60.0, 1), (60.0, 66.0, 80.0, 90.0, 0)],
    ]
    images = torch.full((4, 3, 96, 96), 0.2)
    for image, objects in zip(images, rows, strict=True):
        for x1, y1, x2, y2, label in objects:
            image[int(label), int(y1) : int(y2), int(x1) : int(x2)] = 1.0
    return images, targets(*rows)


def test_learns_four_images_by_heart() -> None:
    """Overfitting on purpose: the loss falls to a sixth and the rectangles are found with their classes.

    All but one of them: how the sums are rounded differs by machine and threads, and so does the last to be learnt.
    """
    torch.manual_seed(0)
    model = Tiny(score_threshold=0.3, iou_threshold=0.5)
    images, wanted = rectangles()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    history = []
    for _ in range(250):
        loss = sum(model.head.loss(model(images), wanted).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < history[0] / 6
    for module in model.modules():  # 250 steps are few for running statistics
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model(images)
        found = model.eval()(images)
    hits = total = 0
    for i in range(4):
        used = found.labels[i] >= 0
        assert used.sum() <= 4
        for box, label in zip(wanted["boxes"][i], wanted["labels"][i], strict=True):
            if label >= 0:
                same = found.boxes[i][used & (found.labels[i] == label)]
                hits += len(same) > 0 and bool(iou(same, box).max() > 0.75)
                total += 1
    assert hits >= total - 1


@pytest.mark.slow
def test_onnx_with_nms_equals_torch_at_other_batches_and_sizes(tmp_path) -> None:
    torch.manual_seed(0)
    model = Tiny(iou_threshold=0.5, pre_top_k=100, max_detections=50).eval()
    for tower in model.head.cls_towers:
        nn.init.normal_(tower[-1].weight, std=2)
        nn.init.constant_(tower[-1].bias, -1)
    height, width = (torch.export.Dim(n, min=2, max=40) for n in ("rows", "columns"))
    dims = ({0: torch.export.Dim("batch"), 2: 32 * height, 3: 32 * width},)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (torch.rand(2, 3, 64, 96),), path, dynamo=True, dynamic_shapes=dims, verbose=False)
    session = onnxruntime.InferenceSession(path)
    for shape in ((1, 3, 64, 96), (2, 3, 64, 96), (1, 3, 160, 128), (2, 3, 96, 96)):
        x = torch.rand(shape)
        with torch.no_grad():
            want = model(x)
        boxes, scores, labels = (torch.from_numpy(t) for t in session.run(None, {"x": x.numpy()}))
        assert torch.equal(labels, want.labels)
        assert (labels >= 0).sum() > 5
        torch.testing.assert_close(boxes, want.boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(scores, want.scores, atol=1e-5, rtol=0)


def test_compiles_in_one_piece_and_copies() -> None:
    """No graph break in training or eval, the same from a deepcopy and from a pickle."""
    torch.manual_seed(0)
    model = Tiny(score_threshold=0.0, pre_top_k=100)
    x = torch.rand(2, 3, 64, 64)
    copies = (copy.deepcopy(model), pickle.loads(pickle.dumps(model)))
    for training in (True, False):
        want = model.train(training)(x)
        for copied in copies:
            compiled = torch.compile(copied.train(training), backend="aot_eager", fullgraph=True)
            for a, b in zip(want, compiled(x), strict=True):
                torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
