"""Images mixed of two: their classes share by what is seen of each, the same in every process, never in validation."""

import pytest
import torch
from PIL import Image

from designer.data.dataset import load_dataset, make_loader
from designer.graph.training import DataSettings, TrainingSettings, unaugmented

PLAIN = unaugmented(TrainingSettings()).model_copy(update={"crop_area": 1.0})


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "val"):
        for name, colour in (("black", (0, 0, 0)), ("white", (255, 255, 255))):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(8):
                Image.new("RGB", (32, 32), colour).save(tmp_path / part / name / f"{i}.png")
    return DataSettings(kind="folder", path=str(tmp_path))


def opened(folder, **changes):
    return load_dataset(folder, (32, 32), "classify", PLAIN.model_copy(update=changes))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_are_what_is_seen(folder, kind):
    """White is class 1, so the mean brightness of a mixed image is its share of class 1."""
    data = opened(folder, **{kind: 1.0}).train
    shares = torch.stack([data[i].shares for i in range(len(data))])
    seen = torch.stack([data[i].image.float().mean() / 255 for i in range(len(data))])
    torch.testing.assert_close(shares[:, 1], seen, atol=3e-3, rtol=0)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(data)))
    assert ((seen > 0.01) & (seen < 0.99)).any()


def test_all_items_of_a_batch_have_shares_and_validation_has_classes(folder):
    splits = opened(folder, mixup=0.3, cutmix=0.3)
    batch = next(iter(make_loader(splits.train, "classify", 16, shuffle=False)))
    assert batch.targets.shape == (16, 2)
    assert (batch.targets.amax(1) == 1).any()  # some are left as they are
    assert next(iter(make_loader(splits.val, "classify", 16, shuffle=False))).targets.dtype == torch.int64
    other = next(
        iter(make_loader(opened(folder, mixup=0.3, cutmix=0.3).train, "classify", 16, shuffle=False, workers=1))
    )
    assert torch.equal(batch.images, other.images)
    assert torch.equal(batch.targets, other.targets)


def test_nothing_is_mixed_unless_asked(folder):
    data = opened(folder).train
    assert data[0].shares is None
    assert data[0].image.unique().tolist() == [0]
