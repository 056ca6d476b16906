"""Learning rates found: curves read as by hand, a real sweep that leaves the document alone, a process that ends."""

import itertools
import json
import math
import subprocess
import sys
import time

import pytest

from designer.graph import Document
from designer.graph.model import GraphData
from designer.train.rate_curve import judge, rounded
from designer.train.rate_finder import find_rate

RATES = [10 ** (i / 20 - 6) for i in range(121)]


def valley(rate, lowest=0.1, width=1.0):
    """Flat at 3, down to 1 at the lowest, steeply up behind it."""
    place = (math.log10(rate) - math.log10(lowest)) / width
    return 3 - 2 * math.exp(-(place**2)) + (20 * place**2 if place > 0 else 0)


def test_a_valley_is_read():
    found = judge(RATES, [valley(rate) for rate in RATES])
    assert found.lowest == pytest.approx(0.1, rel=0.4)
    # A Gaussian is steepest 0.707 widths from its middle, nearer than a tenth.
    assert found.steepest == pytest.approx(10 ** (-1 - 0.707), rel=0.3)
    assert found.suggested == pytest.approx(0.01, rel=0.4)
    assert "A tenth of" in found.why
    wide = judge(RATES, [valley(rate, width=2) for rate in RATES])
    assert wide.suggested == pytest.approx(10 ** (-1 - 1.414), rel=0.4)
    assert "fastest" in wide.why


def test_nothing_is_suggested_where_nothing_is_learnt():
    assert judge(RATES, [2.0] * 121).suggested is None
    assert "did not fall" in judge(RATES, [valley(1) * (1 + i) for i in range(121)]).why
    assert "no number" in judge(RATES[:4], [math.nan] * 4).why


def test_noise_hardly_moves_the_suggestion():
    noisy = [valley(rate) * (1.08 if i % 2 else 0.92) for i, rate in enumerate(RATES)]
    assert judge(RATES, noisy).suggested == pytest.approx(0.01, rel=0.6)


def test_rates_are_rounded_as_people_write_them():
    assert [rounded(v) for v in (0.01234, 1.96e-4)] == [0.012, 2.0e-4]


@pytest.fixture
def tiny(catalogue):
    """A convolution and a classifier, 16 pixels."""
    document = Document.new("Tiny", catalogue)
    nodes = [
        document.add("io.image_input", height=16, width=16),
        document.add("stem.conv_stem", out_channels=8),
        document.add("head.classification_head", num_classes=3),
    ]
    for a, b in itertools.pairwise(nodes):
        document.connect(a, b)
    document.set_training(batch=4, workers=0, device="cpu", optimizer="sgd", accumulate=2)
    document.set_data(train_images=20, val_images=4)
    return document


def test_a_sweep_on_the_data_leaves_the_document_alone(tiny):
    before = tiny.data.model_dump_json()
    said = []
    found = find_rate(tiny.data, on_step=lambda *step: said.append(step), steps=24)
    assert tiny.data.model_dump_json() == before
    assert [step for step, _, _ in said] == list(range(1, len(said) + 1))
    assert said[0][1] == pytest.approx(1e-5)
    assert found.rates == [rate for _, rate, _ in said][: len(found.rates)]
    assert len(found.smooth) == len(found.losses) == len(found.rates)


def test_the_process_speaks_in_lines_and_ends_with_its_parent(tiny):
    command = [sys.executable, "-P", "-m", "designer.train.rate_finder"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(tiny.data.model_dump_json() + "\n")
    process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert answers[0] == {"started": True, "device": "cpu", "batch": 4, "steps": 200}
    assert [a["step"] for a in answers[1:]] == [1, 2]
    process.stdin.close()  # as when the window is killed
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert process.poll() == 1
    process.stdout.close()


def test_the_process_says_what_is_wrong():
    command = [sys.executable, "-P", "-m", "designer.train.rate_finder"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(GraphData(name="Nothing").model_dump_json() + "\n")
        process.stdin.flush()  # and stays open: its end would end the process
        assert "has no layers" in json.loads(process.stdout.readline())["error"]
        assert process.wait(60) == 2
