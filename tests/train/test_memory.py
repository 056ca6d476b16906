"""The batch that fits: searched, counted, recorded in the run, and named where another did not fit."""

import pytest
import torch
from accelerate import Accelerator

from designer.data.dataset import load_dataset
from designer.engine.compile import compile_document
from designer.train import auto_batch, memory
from designer.train.auto_batch import choose_batch, even, largest
from designer.train.full import batch_that_fits
from designer.train.loop import Trainer
from designer.train.memory import Need, TooLarge, check_batch, out_of_memory
from designer.train.run import RunFolder
from designer.train.trial import Trial


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 8, 100, 511, 512, 600])
def test_the_largest_is_found_in_few_tries(limit):
    tried = []
    assert largest(lambda n: tried.append(n) or n <= limit, 512) == min(limit, 512)
    assert len(tried) <= 18
    assert all(1 <= n <= 512 for n in tried)


def test_batches_that_hardware_likes():
    assert [even(n) for n in (1, 2, 3, 7, 15, 16, 31, 100)] == [1, 2, 2, 6, 14, 16, 24, 96]


def test_an_open_batch_is_found_told_and_recorded(tmp_path, detector, monkeypatch):
    detector.set_training(batch=0, epochs=1)
    detector.set_data(train_images=320)
    room = Need(detector.data).of(20) / 0.9
    monkeypatch.setattr(auto_batch, "free_memory", lambda device: int(room))
    run = RunFolder.create(tmp_path, detector.data)
    trainer = Trainer(run)
    assert trainer.settings.batch == 16
    assert trainer.batches == 20
    assert "Batch size 16: the most that fits into" in trainer.said[0]
    assert run.document().training.batch == 16
    assert '"batch": 16' in run.config_path.read_text()
    assert detector.data.training.batch == 0


def test_a_trial_step_leaves_the_model_as_it_was(detector):
    compiled = compile_document(detector.data)
    data = load_dataset(detector.data.data, compiled.image_size, "detect", detector.data.training).train
    before = {name: value.clone() for name, value in compiled.model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    trial = Trial(compiled, data, "detect", Accelerator(cpu=True))
    with trial.untouched():
        trial.step(compiled.train_model, 2)
        trial.step(compiled.train_model, 3)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in compiled.model.state_dict().items())
    assert all(p.grad is None for p in compiled.model.parameters())
    assert not compiled.model.training


def test_what_does_not_fit_is_said_with_what_does(tmp_path, detector, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: Need(detector.data).of(6))
    with pytest.raises(TooLarge, match="A batch of 8 needs about") as raised:
        check_batch(detector.data, torch.device("cpu"))
    assert raised.value.fits == 5
    monkeypatch.setattr(auto_batch, "free_memory", lambda device: 10)
    data = load_dataset(detector.data.data, (64, 64), "detect", detector.data.training).train
    compiled, accelerator = compile_document(detector.data), Accelerator(cpu=True)
    with pytest.raises(TooLarge, match="Not one image fits"):
        choose_batch(detector.data, compiled, data, "detect", accelerator)
    assert batch_that_fits(RunFolder.create(tmp_path, detector.data)) == 0


def test_after_memory_ran_out_a_smaller_batch_is_named(tmp_path, detector):
    assert batch_that_fits(RunFolder.create(tmp_path, detector.data)) == 4


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    cpu = torch.device("cpu")
    whole = memory.free_memory(cpu)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 200\nfile 100\n")
    assert memory.free_memory(cpu) == pytest.approx(whole, rel=0.2)
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory.free_memory(cpu) == 800


def test_words_for_memory_that_ran_out():
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not out_of_memory(RuntimeError("shape mismatch"))
