"""The training and data sections of a document. The Train dock builds its form from these fields."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section whose unknown fields are kept, so that a newer version's file survives an older program."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)


class TrainingSettings(Section):
    """How to train. `title`, `description` and the bounds of each field are what the window shows."""

    epochs: int = Field(20, ge=1, le=100_000, title="Epochs", description="Passes over the training images.")
    batch: int = Field(
        16, ge=0, le=65_536, title="Batch size", description="Images per step; 0 finds the most that fit into memory."
    )
    learning_rate: float = Field(
        0.01, gt=0, le=10, title="Learning rate", description="Rate after warm-up; the schedule lowers it from there."
    )
    optimizer: Literal["sgd", "adamw", "adam", "rmsprop", "muon"] = Field(
        "sgd", title="Optimizer", description="SGD with momentum (rates near 0.01); the others want rates near 0.001."
    )
    momentum: float = Field(
        0.937,
        ge=0,
        lt=1,
        title="Momentum",
        description="SGD's, RMSprop's and Muon's momentum; Adam's first beta, 0.9 at most.",
    )
    nesterov: bool = Field(True, title="Nesterov", description="Looks ahead along the momentum; for SGD and Muon.")
    weight_decay: float = Field(
        5e-4, ge=0, le=1, title="Weight decay", description="Of layers, not of norms, biases and tables."
    )
    schedule: Literal["cosine", "step", "linear", "one-cycle", "constant"] = Field(
        "cosine",
        title="Schedule",
        description="Cosine or linear to 1 %; step: a tenth at 60 % and 85 %.",
    )
    warmup_epochs: float = Field(
        1.0, ge=0, le=1000, title="Warm-up", description="Epochs of linear warm-up, a third of all at most."
    )
    ema: bool = Field(True, title="Average weights", description="Evaluate a moving average of the weights.")
    ema_decay: float = Field(0.999, ge=0, lt=1, title="Averaging decay", description="Closer to 1 averages longer.")
    clip_norm: float = Field(10.0, ge=0, title="Clip gradients", description="Largest gradient norm; 0 turns it off.")
    accumulate: int = Field(1, ge=1, le=1024, title="Accumulate", description="Batches summed before one step.")
    nominal_batch: int = Field(
        0, ge=0, le=65_536, title="Nominal batch", description="Accumulates up to so many images a step; 0: as above."
    )
    pretrained_factor: float = Field(
        1.0, ge=0, le=1, title="Pretrained rate", description="Factor on the rate of nodes that start from weights."
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        title="Layer decay",
        description="Factor on the rate, layer by layer towards the input.",
    )
    unfreeze_after: int = Field(
        0, ge=0, le=100_000, title="Unfreeze after", description="Epochs after which frozen nodes learn too; 0: never."
    )
    compile: bool = Field(
        False, title="Compile", description="torch.compile: minutes at the start, faster steps from then on."
    )
    amp: bool = Field(True, title="Mixed precision", description="bfloat16 or float16 on a GPU; no effect on a CPU.")
    device: str = Field("auto", title="Device", description="auto, cpu, cuda, cuda:1 or mps.")
    devices: int = Field(
        1, ge=1, le=1024, title="Devices", description="GPUs, or CPU processes, a machine; they share each batch."
    )
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp", title="Strategy", description="Several devices: a copy of the model each, or the model spread over them."
    )
    sync_norm: bool = Field(
        False, title="Shared norms", description="Batch norms see the whole batch, not each GPU's share."
    )
    workers: int = Field(2, ge=0, le=256, title="Workers", description="Processes that load images.")
    cache: Literal["off", "ram", "disk"] = Field(
        "off", title="Cache", description="Keeps fitted images of boxes or masks in memory or on disk."
    )
    seed: int = Field(0, ge=0, title="Seed", description="The same seed repeats the run.")
    eval_every: int = Field(1, ge=1, title="Evaluate every", description="Epochs between evaluations.")
    patience: int = Field(
        0, ge=0, title="Patience", description="Stop after so many evaluations without gain; 0: never."
    )
    checkpoint_every: int = Field(1, ge=1, title="Checkpoint every", description="Epochs between checkpoints.")
    tracker: Literal["none", "mlflow", "wandb"] = Field(
        "none", title="Tracker", description="MLflow or Weights & Biases, beside TensorBoard's log."
    )
    flip: float = Field(0.5, ge=0, le=1, title="Flip", description="Chance of a horizontal flip.")
    flip_vertical: float = Field(0.0, ge=0, le=1, title="Vertical flip", description="Chance of a vertical flip.")
    jitter: float = Field(0.5, ge=0, le=1, title="Colour jitter", description="Strength of the colour changes.")
    rotate: float = Field(0.0, ge=0, le=180, title="Rotate", description="Most degrees of rotation, either way.")
    translate: float = Field(0.0, ge=0, le=0.9, title="Translate", description="Most shift, as a share of the image.")
    scale: float = Field(0.0, ge=0, le=0.9, title="Zoom", description="0.5 zooms between 50 % and 150 %.")
    shear: float = Field(0.0, ge=0, le=45, title="Shear", description="Most degrees of shear, either way.")
    mosaic: float = Field(0.0, ge=0, le=1, title="Mosaic", description="Chance of four images in one.")
    mixup: float = Field(0.0, ge=0, le=1, title="Mixup", description="Chance of two images in one; not of masks.")
    cutmix: float = Field(
        0.0, ge=0, le=1, title="CutMix", description="Chance of a piece of another image; classes only."
    )
    copy_paste: float = Field(0.0, ge=0, le=1, title="Copy-paste", description="Chance of pasted objects; masks only.")
    crop: float = Field(
        0.0, ge=0, le=1, title="Random crop", description="Chance that a part fills the input; not of classes."
    )
    crop_area: float = Field(
        0.5, ge=0.05, le=1, title="Crop area", description="Least share of an image in a crop; classes always crop."
    )
    close_mosaic: int = Field(10, ge=0, le=100_000, title="Close mosaic", description="Last epochs without mosaic.")


OPTIMIZERS = {"sgd": "SGD", "adamw": "AdamW", "adam": "Adam", "rmsprop": "RMSprop", "muon": "Muon"}
"""What they are called."""

AUGMENTATION = (
    "flip", "flip_vertical", "jitter", "rotate", "translate", "scale", "shear", "mosaic", "mixup", "cutmix",
    "copy_paste", "crop",
)  # fmt: skip
"""Settings that change training images; each is off at 0."""


def unaugmented(settings: TrainingSettings) -> TrainingSettings:
    """The same settings with images left as they are."""
    return settings.model_copy(update=dict.fromkeys(AUGMENTATION, 0.0))


class AdviceSettings(Section):
    """Which advice a document does not want to hear."""

    muted: list[str] = Field(default_factory=list, title="Muted", description="Codes of rules that are not said.")


class DataSettings(Section):
    """Which images. `path` is a data.yaml (yolo), a folder or JSON file (coco), or a folder (the others)."""

    kind: Literal["shapes", "coco", "yolo", "voc", "masks", "folder"] = Field(
        "shapes",
        title="Data",
        description="Built-in shapes, COCO JSON, YOLO folders, Pascal VOC, images with masks, or class folders.",
    )
    path: str = Field(
        "", title="Path", description="File or folder of the data set; in a document, ./ is its own folder."
    )
    train: str = Field(
        "", title="Training part", description="Sub-folder or annotation file; found by itself if empty."
    )
    val: str = Field(
        "", title="Validation part", description="Sub-folder or annotation file; found by itself if empty."
    )
    val_share: float = Field(
        0.1,
        ge=0.01,
        le=0.9,
        title="Held out",
        description="Share of the images to validate on, if the data has no such part.",
    )
    classes: int = Field(3, ge=1, le=6, title="Classes", description="Kinds of shapes drawn.")
    train_images: int = Field(
        1024, ge=1, le=1_000_000, title="Training images", description="Shapes images to train on."
    )
    val_images: int = Field(128, ge=1, le=100_000, title="Validation images", description="Shapes images held out.")
    max_objects: int = Field(4, ge=1, le=50, title="Objects", description="Most shapes in one image.")
