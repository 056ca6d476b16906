"""Published weights into a document: from a file by the map that fits, reported, refused when another model's."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained, sources
from designer.export import export_pytorch
from designer.graph import Document
from designer.graph.errors import NetwrightError
from nodes.sdk.discover import library
from nodes.weights import published


def classifier(depth: int = 18) -> tuple[Document, str]:
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=64, width=64)
    backbone = doc.add("backbone.resnet", title="Backbone", depth=depth)
    head = doc.add("head.classification_head", title="Head", num_classes=5)
    doc.connect(image, backbone)
    doc.connect(backbone, head, "c5")
    return doc, backbone.id


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    model.train()(torch.randn(4, 3, 64, 64))
    folder = tmp_path_factory.mktemp("weights")
    save_file(model.state_dict(), folder / "resnet18.safetensors")
    torch.save(model.state_dict(), folder / "resnet18.pth")
    torch.save({"model": model.state_dict(), "epoch": 3}, folder / "wrapped.pt")
    torch.save(model, folder / "pickled.pt")
    return model.eval(), folder


@pytest.mark.parametrize("file", ["resnet18.safetensors", "resnet18.pth", "wrapped.pt"])
@torch.no_grad()
def test_a_published_file_fills_the_backbone_and_the_report_is_whole(theirs, file):
    model, folder = theirs
    doc, backbone = classifier()
    doc.set_weights(backbone, f"file:{folder / file}")
    compiled = compile_document(doc.data)
    (report,) = load_pretrained(compiled, doc.data)
    assert set(report.carried.left) == {"fc.weight", "fc.bias"}
    assert report.carried.missing == report.carried.wrong == ()
    assert report.text().startswith("Backbone: weights of file:")
    assert "2 left out (fc." in report.text()
    image = torch.rand(2, 3, 64, 64)
    stem = model.maxpool(model.relu(model.bn1(model.conv1(image))))
    wanted = model.layer4(model.layer3(model.layer2(model.layer1(stem))))
    torch.testing.assert_close(compiled.model.get_submodule("backbone")(image)[3], wanted, rtol=1e-4, atol=1e-4)


def test_an_export_has_them_and_undo_takes_the_choice_back(theirs, tmp_path):
    _, folder = theirs
    doc, backbone = classifier()
    doc.set_weights(backbone, f"file:{folder / 'resnet18.pth'}")
    export_pytorch(doc.data, tmp_path / "out")
    from safetensors.torch import load_file

    exported = load_file(tmp_path / "out" / "weights.safetensors")
    assert torch.equal(exported["backbone.stem.conv.weight"], torch.load(folder / "resnet18.pth")["conv1.weight"])
    assert doc.undo_name == "Weights of Backbone"
    doc.undo()
    assert doc.node(backbone).weights == ""


@pytest.mark.parametrize(
    ("weights", "depth", "said"),
    [
        ("torchvision:resnet50", 18, "no weights torchvision:resnet50 for a ResNet with these settings; known: torch"),
        ("file:nowhere.pth", 18, "Backbone: there is no file nowhere.pth"),
        ("file:{folder}/pickled.pt", 18, "cannot be read as weights"),
        ("file:{folder}/resnet18.pth", 50, "holds weights of another model"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(theirs, weights, depth, said):
    doc, backbone = classifier(depth)
    doc.set_weights(backbone, weights.format(folder=theirs[1]))
    with pytest.raises(NetwrightError) as caught:
        load_pretrained(compile_document(doc.data), doc.data)
    assert said in str(caught.value)


def test_weights_that_cannot_be_downloaded_say_how_to_go_on(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nothing listens there
    doc, backbone = classifier()
    doc.set_weights(backbone, "torchvision:resnet18")
    with pytest.raises(NetwrightError, match=r"Backbone: The weights torchvision:resnet18 cannot be had: .*file:PATH"):
        load_pretrained(compile_document(doc.data), doc.data)


def test_every_map_names_a_component_and_settings_that_exist():
    for entry in published():
        spec = library().spec(entry.component)
        assert all(spec.param(name).check(value) is None for name, value in entry.params.items())
        assert entry.name in sources(entry.component, dict(entry.params))
