"""What an ONNX export can be asked for. The window builds its form from these fields."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from designer.graph.errors import NetwrightError


class OnnxOptions(BaseModel):
    """Choices for an ONNX file; the defaults suit most runtimes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opset: int = Field(
        20, ge=18, le=24, title="Opset", description="Version of the operators; older runtimes want less."
    )
    batch: int = Field(0, ge=0, le=1024, title="Batch size", description="Images at once; 0 leaves it free.")
    precision: Literal["fp32", "fp16", "int8"] = Field(
        "fp32", title="Precision", description="float32, float16, or 8-bit integers fitted on calibration images."
    )
    calibration: int = Field(
        128, ge=1, le=10_000, title="Calibration images", description="Training images that int8 ranges are fitted on."
    )
    measure: int = Field(
        0, ge=0, le=1_000_000, title="Measure on",
        description="Validation images for metrics before and after; 0 measures int8 on 128, the others not at all.",
    )  # fmt: skip
    free_size: bool = Field(
        False, title="Any image size", description="Height and width stay free, in multiples of the largest stride."
    )
    post: bool = Field(
        True,
        title="NMS inside",
        description="Off: the file ends at the heads, with every candidate and its scores.",
    )
    slim: bool = Field(False, title="Simplify", description="Folds constants, joins what repeats (onnxslim).")
    openvino: bool = Field(False, title="OpenVINO", description="Writes the model for Intel's runtime too (openvino).")


def onnx_options(**values: object) -> OnnxOptions:
    """Options from plain values.

    Raises:
        NetwrightError: naming the option and what it may be.
    """
    try:
        return OnnxOptions(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise NetwrightError(f"The option {name} is {first['input']!r}: {first['msg'].lower()}.") from None
