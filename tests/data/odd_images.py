"""A small YOLO data set with all the odd files that real ones have."""

import numpy as np
from PIL import Image

NAMES = ["cat", "dog"]
TURNED = Image.Exif()
TURNED[0x0112] = 6


def odd_data(root):
    """Training images of every kind, one without labels, labels without an image; two images to validate on."""
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        (root / "images" / part).mkdir(parents=True)
        (root / "labels" / part).mkdir(parents=True)
    train = root / "images" / "train"
    photo = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(photo).save(train / "a plain.jpg")
    Image.fromarray(photo[::-1]).save(train / "turned.jpg", exif=TURNED)
    Image.fromarray(random.integers(0, 2**16, (60, 80), dtype=np.uint16)).save(train / "deep.png")
    Image.fromarray(photo).convert("L").save(train / "grey.png")
    Image.fromarray(photo).convert("RGBA").save(train / "löwe 獅子.png")
    Image.fromarray(255 - photo).save(train / "unlabelled.png")
    for i in range(2):
        Image.fromarray(np.roll(photo, 7 * i + 3, 0)).save(root / "images" / "val" / f"v{i}.png")
        (root / "labels" / "val" / f"v{i}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    for image in train.iterdir():
        if image.stem != "unlabelled":
            rows = "0 0.25 0.5 0.25 0.5\n1 0.75 0.5 0.25 0.25\n" if image.stem == "deep" else "0 0.25 0.5 0.25 0.5\n"
            (root / "labels" / "train" / f"{image.stem}.txt").write_text(rows)
    (root / "labels" / "train" / "stray.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {NAMES}\n")
    return root
