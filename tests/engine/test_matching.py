"""Whole checkpoints onto documents: torchvision's, timm's, tables' and our own, to equal outputs; others refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from designer.engine.compile import Compiled, compile_document
from designer.engine.load_weights import load_weights, start_from
from designer.engine.matching import Matched, fill, match
from designer.engine.pretrained import load_pretrained
from designer.engine.state_files import State, read_state
from designer.export import export_weights
from designer.graph import Document
from designer.graph.errors import NetwrightError
from designer.graph.templates import load_template
from designer.importing import import_table, read_table
from nodes.sdk.discover import library

TABLES = Path(__file__).parents[1] / "importing" / "data"
models = torchvision.models


def sized(document: Document, side: int) -> Document:
    for node in document.data.nodes:
        if node.component == "io.image_input":
            document.set_param(node, "height", side)
            document.set_param(node, "width", side)
    return document


def template(name: str, side: int) -> Document:
    return sized(load_template(name, library().catalogue), side)


def lively(model: nn.Module) -> nn.Module:
    """Norms of a trained model: nothing that is 0 or 1, so that a statistic in the wrong place is seen."""
    torch.manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return model.eval()


def filled(document: Document, state: dict[str, Tensor]) -> tuple[Compiled, Matched]:
    compiled = compile_document(document.data)
    found = match(compiled, document.data, State(Path("theirs.pt"), state))
    fill(compiled, found, state)
    compiled.eval()
    return compiled, found


def whole(found: Matched) -> bool:
    return all(not taken.missing and not taken.wrong for taken in found.nodes) and not found.left


@torch.no_grad()
def test_a_classifier_of_torchvision_gives_its_probabilities() -> None:
    theirs = lively(models.resnet50(weights=None))
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}  # as a trainer on several GPUs saves
    compiled, found = filled(template("resnet50", 64), state)
    assert whole(found)
    assert found.nodes[0].text() == "Backbone: 265 of 265 tensors, as torchvision:resnet50."
    image = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(compiled.model(image), theirs(image).softmax(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["retina_net", "fcos"])
@torch.no_grad()
def test_a_detector_of_torchvision_gives_its_scores(head: str) -> None:
    made = {"retina_net": models.detection.retinanet_resnet50_fpn, "fcos": models.detection.fcos_resnet50_fpn}[head]
    theirs = lively(made(weights=None, weights_backbone=None, num_classes=80))
    document = template({"retina_net": "retinanet-r50", "fcos": "fcos-r50"}[head], 128)
    neck = next(n for n in document.data.nodes if n.title == "Neck")
    document.set_param(neck, "extra_from", "p5")
    compiled, found = filled(document, theirs.state_dict())
    assert whole(found)
    image = torch.rand(1, 3, 128, 128)
    raw = theirs.head(list(theirs.backbone(image).values()))
    scores = raw["cls_logits"].sigmoid()
    if head == "fcos":
        scores = (scores * raw["bbox_ctrness"].sigmoid()).sqrt()
    model = compiled.model
    levels = model.get_submodule("neck")(*model.get_submodule("backbone")(image)[1:])
    torch.testing.assert_close(model.get_submodule("head")(*levels).scores, scores, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_ssd300_of_torchvision_gives_its_scores() -> None:
    theirs = lively(models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=81))
    compiled, found = filled(template("ssd300", 300), theirs.state_dict())
    assert whole(found)
    image = torch.rand(1, 3, 300, 300)
    raw = theirs.head(list(theirs.backbone(image).values()))["cls_logits"]
    levels = compiled.model.get_submodule("backbone")(image)
    got = compiled.model.get_submodule("head")(*levels).scores
    torch.testing.assert_close(got, raw.softmax(-1)[..., 1:], rtol=1e-3, atol=1e-4)


def test_what_has_no_place_and_what_is_missing_are_said_with_shapes() -> None:
    theirs = models.mobilenet_v2(weights=None)
    _, found = filled(template("classifier-mobilenet-v2", 64), theirs.state_dict())
    backbone, head = found.nodes
    assert len(backbone.loaded) == backbone.size
    assert head.loaded == {}
    assert head.missing == {"fc.weight": (1000, 320), "fc.bias": (1000,)}
    assert found.left["classifier.1.weight"] == (1000, 1280)
    assert "Head: nothing; its 2 tensors are drawn." in found.text()
    assert "Left over: 7 tensors (features.18.0.weight [1280, 320, 1, 1]" in found.text()


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
@torch.no_grad()
def test_a_whole_model_of_timm_fills_its_backbone(name: str) -> None:
    theirs = lively(timm.create_model(name, num_classes=7))
    document = Document.new("Timm", library().catalogue)
    image = document.add("io.image_input", height=64, width=64)
    backbone = document.add("backbone.timm_backbone", title="Backbone", model=name)
    head = document.add("head.classification_head", title="Head", num_classes=7)
    document.connect(image, backbone)
    document.connect(backbone, head, "c5")
    compiled, found = filled(document, theirs.state_dict())
    assert not found.nodes[0].missing
    pixels = torch.rand(1, 3, 64, 64)
    want = theirs.forward_intermediates(pixels, intermediates_only=True)[-1]
    got = [level for level in compiled.model.get_submodule("backbone")(pixels) if level is not None][-1]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_a_model_of_timm_whose_family_has_no_map_goes_by_order() -> None:
    theirs = timm.create_model("darknet53")
    _, found = filled(template("classifier-darknet", 64), theirs.state_dict())
    assert whole(found)
    assert found.nodes[0].how == "by order and shape"


# -- tables ----------------------------------------------------------------------------------------------------------


HEADS = {
    "box_towers.": "cv2.", "cls_towers.": "cv3.", "mask_towers.": "cv4.", "dfl.": "dfl.conv.",
    "prototypes.0.": "proto.cv1.", "prototypes.1.": "proto.upsample.", "prototypes.2.": "proto.cv2.",
    "prototypes.3.": "proto.cv3.", "towers.": "m.", "fc.": "linear.",
}  # fmt: skip

BACK = (
    (r"^down", "stem1"), (r"^corner1", "stem2a"), (r"^corner2", "stem2b"), (r"^join", "stem3"), (r"^last", "stem4"),
    (r"^squeeze", "sc"), (r"^excite", "ec"), (r"^chain\.(\d)\.([01])\.", lambda m: f"m.{m[1]}.conv{int(m[2]) + 1}."),
    (r"^chain\.(\d)\.conv3\.0", r"m.\1.conv1.conv"), (r"^chain\.(\d)\.conv3\.1", r"m.\1.conv1.bn"),
    (r"^chain\.(\d)\.conv1\.0", r"m.\1.conv2.conv"), (r"^chain\.(\d)\.conv1\.1", r"m.\1.conv2.bn"),
    (r"^chain\.", "m."), (r"^conv(\d)\.", r"cv\1.conv."), (r"^bn(\d)\.", r"cv\1.bn."),
    (r"^skip\.0", "shortcut.0.conv"), (r"^skip\.1", "shortcut.0.bn"),
)  # fmt: skip
"""From our keys of RT-DETR's blocks to those of a table's checkpoint."""


def as_rows(document: Document, compiled: Compiled) -> dict[str, Tensor]:
    """Our weights under the keys that a model built from the table has: `model.ROW.…`."""
    titles = {n.id: n.title for n in document.data.nodes}
    state = {}
    for name, node in compiled.node_of.items():
        row, _, part = re.search(r" (\d+)(\.?)(\d*)$", titles[node]).groups()
        inside = "conv." if part == "1" and "Classify" in str(titles) and titles[node].startswith("Conv") else ""
        if titles[node].startswith(("ResNet", "Bottleneck")):
            inside = f"layer.{int(part or 1) - 1}."
        for key, value in compiled.model.get_submodule(name).state_dict().items():
            start = next((s for s in HEADS if key.startswith(s)), "")
            theirs = HEADS[start] + key[len(start) :] if start else key
            if titles[node].startswith(("HG", "RepC3", "Bottleneck")):
                for pattern, back in BACK:
                    theirs = re.sub(pattern, back, theirs)
            state[f"model.{row}.{inside}{theirs}"] = value
    return state


def table(name: str, scale: str, side: int) -> Document:
    return sized(import_table(read_table(TABLES / f"{name}.yaml", scale)).document, side)


def rows_of(name: str, scale: str, side: int) -> tuple[Compiled, dict[str, Tensor]]:
    document = table(name, scale, side)
    compiled = compile_document(document.data)
    lively(compiled.model)
    return compiled, as_rows(document, compiled)


@pytest.mark.parametrize("onto", ["table", "yolov8n"])
@torch.no_grad()
def test_a_checkpoint_of_the_yolov8_table_fills_table_and_template(onto: str) -> None:
    source, state = rows_of("yolov8", "n", 64)
    for key in ("0.conv.weight", "0.bn.running_mean", "2.cv1.conv.weight", "2.m.0.cv1.conv.weight",
                "22.cv2.0.0.conv.weight", "22.cv3.2.2.bias", "22.dfl.conv.weight"):  # fmt: skip
        assert f"model.{key}" in state
    document = table("yolov8", "n", 64) if onto == "table" else template(onto, 64)
    compiled, found = filled(document, state)
    assert whole(found)
    assert {taken.how for taken in found.nodes} == {"by the rows of its table"}
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(compiled.train_model(image)[0], source.train_model(image)[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["yolov8-seg", "yolov5", "yolov8-cls"])
@torch.no_grad()
def test_checkpoints_of_other_tables(name: str) -> None:
    source, state = rows_of(name, "n", 64)
    compiled, found = filled(table(name, "n", 64), {f"model.{key}": value for key, value in state.items()})
    assert whole(found), found.text()
    image = torch.rand(1, 3, 64, 64)
    (got,), (want,) = compiled.train_model(image), source.train_model(image)
    for a, b in zip(listed(got), listed(want), strict=True):
        assert torch.equal(a, b)


def listed(raw: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (raw,) if isinstance(raw, Tensor) else raw


def test_the_first_yolov5_s_checkpoint_fills_the_template_anchors_left_to_the_document() -> None:
    _, state = rows_of("yolov5", "n", 64)
    document = template("yolov5n", 64)
    head = compile_document(document.data).model.get_submodule("head").state_dict()
    state = {k: v for k, v in state.items() if not k.startswith("model.24.")}
    state |= {f"model.24.{k.replace('towers', 'm')}": v for k, v in head.items()}
    compiled, found = filled(document, state | {"model.24.anchors": torch.ones(3, 3, 2)})
    assert all(not taken.missing and not taken.wrong for taken in found.nodes), found.text()
    assert list(found.left) == ["model.24.anchors"]
    filled_head = compiled.model.get_submodule("head").state_dict()
    assert all(torch.equal(filled_head[k], v) for k, v in head.items())


RTDETR_ROWS = """nc: 4
backbone:
  - [-1, 1, HGStem, [8, 16]]
  - [-1, 2, HGBlock, [8, 32, 3]]
  - [-1, 2, HGBlock, [8, 32, 5, True, True]]
  - [-1, 2, RepC3, [24]]
  - [-1, 1, ResNetLayer, [3, 16, 1, True, 1]]
  - [-1, 1, ResNetLayer, [16, 8, 2, False, 2]]
head:
  - [-1, 1, Classify, [nc]]
"""
RTDETR_KEYS = (
    "0.stem2a.conv.weight", "1.m.1.bn.weight", "2.m.1.conv1.conv.weight", "2.m.1.conv2.bn.bias", "2.ec.conv.weight",
    "3.m.1.conv2.conv.weight", "3.cv2.bn.bias", "4.layer.0.conv.weight", "5.layer.1.cv3.conv.weight",
    "5.layer.0.shortcut.0.bn.running_var",
)  # fmt: skip


@torch.no_grad()
def test_a_checkpoint_of_rt_detr_s_blocks(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(RTDETR_ROWS)
    document = sized(import_table(read_table(tmp_path / "mine.yaml")).document, 64)
    source = compile_document(document.data)
    lively(source.model)
    state = as_rows(document, source)
    for key in RTDETR_KEYS:
        assert f"model.{key}" in state
    compiled, matched = filled(document, state)
    assert whole(matched), matched.text()
    assert {taken.how for taken in matched.nodes} == {"by the rows of its table"}
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(compiled.model(image), source.model(image))


PUBLISHED = (
    (r"project\.(\d)\.conv\.", r"input_proj.\1.0."), (r"project\.(\d)\.bn\.", r"input_proj.\1.1."),
    (r"select\.", "enc_output."), (r"select_score\.", "enc_score_head."),
    ("class_table", "denoising_class_embed.weight"), (r"(decoder\.layers\.\d)\.(qk|v)\.", r"\1.self_attn.\2."),
    (r"select_box\.(\d)\.", r"enc_bbox_head.layers.\1."), (r"decoder\.places\.(\d)\.", r"query_pos_head.layers.\1."),
    (r"decoder\.boxes\.(\d)\.(\d)\.", r"dec_bbox_head.\1.layers.\2."), (r"decoder\.scores\.", "dec_score_head."),
    (r"(decoder\.layers\.\d)\.out\.", r"\1.self_attn.out_proj."),
    (r"cross\.offsets\.", "cross_attn.sampling_offsets."), (r"cross\.weights\.", "cross_attn.attention_weights."),
    (r"cross\.value\.", "cross_attn.value_proj."), (r"cross\.out\.", "cross_attn.output_proj."),
    (r"(decoder\.layers\.\d)\.fc(\d)", r"\1.linear\2"), (r"^(qk|v)\.", r"ma.\1."), (r"^out\.", "ma.out_proj."),
)  # fmt: skip
"""What RT-DETR's published heads and AIFI call the parts of ours."""


def as_published(module: nn.Module) -> dict[str, Tensor]:
    """Its weights with published names: attentions have one projection, perceptrons count their linear layers alone."""
    state: dict[str, Tensor] = {}
    for key, value in module.state_dict().items():
        for ours, theirs in PUBLISHED:
            key = re.sub(ours, theirs, key)
        key = re.sub(r"(\.layers\.)([024])(\.(?:weight|bias))$", lambda m: f"{m[1]}{int(m[2]) // 2}{m[3]}", key)
        before, is_values, kind = key.rpartition(".v.")
        if is_values:
            state[f"{before}.in_proj_{kind}"] = torch.cat((state.pop(f"{before}.qk.{kind}"), value))
        else:
            state[key] = value
    return state


@torch.no_grad()
def test_a_published_rt_detr_fills_its_template_head_and_attention_too(tmp_path: Path) -> None:
    document = table("rtdetr-l", "", 64)
    source = compile_document(document.data)
    lively(source.model)
    state = as_rows(document, source)
    for name, node in source.node_of.items():
        component, module = document.node(node).component, source.model.get_submodule(name)
        if component in ("attention.aifi", "head.rtdetr_head"):
            for parameter in module.parameters():  # a fresh head gives every cell the same scores
                nn.init.normal_(parameter, std=0.1)
            row = int(document.node(node).title.rpartition(" ")[2].partition(".")[0])
            state = {k: v for k, v in state.items() if not k.startswith(f"model.{row}.")}
            state |= {f"model.{row}.{key}": value for key, value in as_published(module).items()}
    for key in ("11.ma.in_proj_weight", "11.norm2.bias", "28.input_proj.2.1.running_var", "28.enc_output.1.weight",
                "28.decoder.layers.5.self_attn.in_proj_bias", "28.decoder.layers.0.cross_attn.sampling_offsets.weight",
                "28.decoder.layers.3.linear2.weight", "28.dec_bbox_head.5.layers.2.bias", "28.dec_score_head.0.weight",
                "28.query_pos_head.layers.1.weight", "28.enc_bbox_head.layers.2.weight"):  # fmt: skip
        assert f"model.{key}" in state
    torch.save(state, tmp_path / "theirs.pt")
    compiled, found = filled(template("rtdetr-l", 64), read_state(tmp_path / "theirs.pt").tensors)
    assert whole(found), found.text()
    image = torch.rand(1, 3, 64, 64)
    ours, theirs = (torch.cat((got.boxes[0], 64 * got.scores[0][:, None]), 1)
                    for got in (compiled.model(image), source.model(image)))  # fmt: skip
    # Nearly equal scores may change places: each is found among the others.
    assert float(torch.cdist(ours, theirs, torch.inf).min(1).values.max()) < 0.01
    assert float(torch.cdist(ours, theirs, torch.inf).min(0).values.max()) < 0.01
    assert float(ours.std(0).min()) > 1  # of boxes in pixels and scores in 64ths


def test_a_table_s_checkpoint_of_other_classes_leaves_the_class_layers_alone() -> None:
    _, state = rows_of("yolov8", "n", 64)
    document = template("yolov8n", 64)
    document.set_param(next(n for n in document.data.nodes if n.title == "Head"), "num_classes", 2)
    _, found = filled(document, state)
    *body, head = found.nodes
    assert all(not taken.missing and not taken.wrong for taken in body)
    assert all(key.startswith("cls_towers.") for key in head.wrong)
    assert sum(key.startswith("box_towers.") for key in head.loaded) == 36


# -- what is no such file --------------------------------------------------------------------------------------------


def test_another_model_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "other.pt")
    document = template("yolov8n", 64)
    with pytest.raises(NetwrightError, match=r"other\.pt holds weights of another model: none .* Nothing was changed"):
        load_weights(document.data, tmp_path / "other.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Unplain:
    """An object of some program."""


def test_a_pickle_with_code_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    torch.save({"model": Unplain(), "epoch": 3}, tmp_path / "best.pt")
    with pytest.raises(
        NetwrightError, match=r"holds Python objects \(tests.*Unplain\).*refused.*model\.state_dict\(\)"
    ):
        read_state(tmp_path / "best.pt")


@pytest.mark.parametrize("length", [100, 2000, 5000, 39_000])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_that_was_cut_off_is_said(suffix: str, length: int, tmp_path: Path) -> None:
    path, state = tmp_path / f"cut.{suffix}", {f"layer{i}": torch.rand(1000) for i in range(10)}
    torch.save(state, path) if suffix == "pt" else save_file(state, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(NetwrightError, match=r"is damaged or was cut off \(.*Copy it here again"):
        read_state(path)


# -- into the document -----------------------------------------------------------------------------------------------


def test_a_document_starts_from_what_was_loaded_until_it_is_undone(detector: Document, tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = lively(compile_document(detector.data).model).state_dict()
    torch.save({"model": {}, "ema": state, "averaged": 3, "class_names": ["a", "b", "c"]}, tmp_path / "best.pt")
    found = load_weights(detector.data, tmp_path / "best.pt", tmp_path / "out")
    start_from(detector, found.sources, "Load weights of best.pt")
    backbone = next(n for n in detector.data.nodes if n.title == "Backbone")
    assert backbone.weights == f"file:{tmp_path}/out/tiny-detector-best.safetensors#backbone"
    detector.rename(backbone, "Trunk")  # the file keeps its own names
    torch.manual_seed(2)
    compiled = compile_document(detector.data)
    reports = load_pretrained(compiled, detector.data)
    assert [r.carried.missing for r in reports] == [()] * 3
    exported = tmp_path / "exported.safetensors"
    export_weights(detector.data, exported)
    again = {k.replace("trunk.", "backbone."): v for k, v in read_state(exported).tensors.items()}
    assert all(torch.equal(again[k], v) for k, v in state.items() if not k.endswith("num_batches_tracked"))
    detector.undo()
    detector.undo()
    assert [n.weights for n in detector.data.nodes] == [""] * 5


def test_loading_again_keeps_what_an_undo_goes_back_to(tmp_path: Path) -> None:
    document = Document.new("Small", library().catalogue)
    document.connect(document.add("io.image_input", height=64, width=64), document.add("stem.conv_stem", title="Stem"))
    paths = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        save_file(compile_document(document.data).model.state_dict(), tmp_path / "w.safetensors")
        paths.append(load_weights(document.data, tmp_path / "w.safetensors", tmp_path / "out").path.name)
    assert paths == ["small-w.safetensors", "small-w.safetensors", "small-w-2.safetensors"]
