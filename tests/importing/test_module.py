"""Modules from Python files: traced in a process of their own, drawn, equal; nothing runs before it is trusted."""

import sys

import pytest
import torch
import torchvision
from torch import nn

from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained
from designer.graph.model import GraphData
from designer.importing import ImportFailed
from designer.importing.child import build
from designer.importing.model import image_size, import_graph, open_model
from designer.importing.module_reader import read_module
from designer.importing.python_file import NotTrusted
from designer.importing.writing import save_weights

FILE = """
import pathlib
import torch
from torch import nn

pathlib.Path(__file__).with_name("ran").touch()

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.SiLU()
        self.fc = nn.Linear(width, 5)

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        x = x + torch.relu(x) * 0.5
        return self.fc(x.mean((2, 3)))

def build_model():
    print("a line on stdout")
    return Net()
"""


def compiled(found: GraphData):
    made = compile_document(found)
    load_pretrained(made, found)
    made.eval()
    return made.model


def drawn(module, folder, size=(3, 64, 64)):
    found = import_graph(read_module(module, size, "net"))
    save_weights(found, folder / "net.safetensors")
    return found


@pytest.fixture(autouse=True)
def own_list(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


SIZED = "from torch import nn\nclass Wide(nn.Module):\n    def __init__(self, width, depth, bias=True): ..."


def test_a_file_runs_only_when_it_is_trusted_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    path = tmp_path / "net.py"
    path.write_text(FILE)
    with pytest.raises(NotTrusted, match="importing runs this file's code"):
        open_model(path)
    assert not (tmp_path / "ran").exists()
    found = open_model(path, size="3x32x48", trust=True)
    assert (tmp_path / "ran").exists()
    assert found.report["recognised"] == {"Conv+norm+activation": 1}
    assert found.report["placeholders"] == []
    image = torch.rand(2, 3, 32, 48)
    torch.testing.assert_close(compiled(found.document)(image), build(path, "Net").eval()(image), rtol=0, atol=0)
    path.write_text(FILE + "\n# changed\n")
    with pytest.raises(NotTrusted):
        open_model(path)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("import nothing_of_this_name", "", r"net\.py:1: ModuleNotFoundError"),
        ("x = 1", "", "it defines no model"),
        ("x = (", "", r"net\.py:1: SyntaxError"),
        (FILE, "Other", "it defines no 'Other'. It has: build_model, Net"),
        (SIZED, "", "Wide needs width, depth. Add a function that gives it, such as `def build_model"),
        (SIZED, "Wide", "Wide needs width, depth. Add a function"),
        (SIZED + "\ndef a(): ...\ndef b(): ...", "", r"several: a, b, Wide \(needs width, depth\). Say which"),
        ("def build():\n    return 3", "build", "gives a int; a torch nn.Module is needed"),
        ("def build():\n    raise SystemExit(4)", "build", r"net\.py:2: SystemExit: 4"),
    ],
)
def test_files_that_fail_say_where(text, name, said, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    path = tmp_path / "net.py"
    path.write_text(text)
    with pytest.raises(ImportFailed, match=said):
        build(path, name)


def test_a_file_that_ends_its_process_ends_no_other(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import os\nos._exit(3)")
    with pytest.raises(ImportFailed, match="the process that runs it ended"):
        open_model(path, trust=True)


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "vit"])
def test_torchvision_models_are_equal(model, tmp_path):
    torch.manual_seed(0)
    if model == "vit":
        module = torchvision.models.VisionTransformer(32, 16, 1, 2, 32, 64, num_classes=7)
        size = (3, 32, 32)
    else:
        module, size = torchvision.models.mobilenet_v3_small(num_classes=7), (3, 64, 64)
    module.eval()
    for layer in module.modules():  # a transformer's last layer begins at zero, which would make any two equal
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            nn.init.normal_(layer.weight)
    found = drawn(module, tmp_path, size)
    assert found.placeholders == []
    network = compiled(found.data)
    for images in (1, 3):
        image = torch.rand(images, *size)
        with torch.no_grad():
            torch.testing.assert_close(network(image), module(image), rtol=1e-5, atol=1e-5)


def test_branches_on_values_are_followed_with_one_image(tmp_path):
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x) if float(x.mean()) > -5 else x

    found = drawn(Branch(), tmp_path)
    assert found.placeholders == []
    assert "was followed with one image" in found.notes[0]


def test_softmax_after_a_layer_without_a_component_is_no_head(tmp_path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, 2, 1)
            self.lstm = nn.LSTM(4, 8, batch_first=True)
            self.fc = nn.Linear(8, 5)

        def forward(self, x):
            sequence, _ = self.lstm(self.conv(x).mean(2).transpose(1, 2))
            return self.fc(sequence[:, -1]).softmax(-1)

    found = drawn(Words(), tmp_path)
    assert found.placeholders == ["lstm"]


def test_sizes():
    assert image_size("640") == (3, 640, 640)
    assert image_size("1x32x48") == (1, 32, 48)
    with pytest.raises(ImportFailed, match="write 640, 480x640 or 3x480x640"):
        image_size("3x")
