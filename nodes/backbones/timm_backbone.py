"""Any backbone of the timm library, by name."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, Suggest, component

STRIDES = (2, 4, 8, 16, 32)


def model_names() -> list[str]:
    """Names of the models that give feature maps, in timm's order."""
    import timm

    return sorted(n for n in timm.list_models() if not n.startswith("test_"))


@component(
    "backbone",
    title="timm backbone",
    outputs=("c1", "c2", "c3", "c4", "c5"),
    aliases=("PyTorch Image Models", "pretrained", "ViT", "Swin", "RegNet", "EfficientNetV2"),
)
class TimmBackbone(nn.Module):
    """Any model of the timm library as a backbone; what its levels are follows from the model.

    A model without a level of some stride, as a vision transformer is, gives nothing at that port. Weights are drawn
    at random unless pretrained ones are chosen for the node.

    Args:
        model: name in timm, such as resnet50, convnext_tiny or swin_tiny_patch4_window7_224.
        frozen_stages: levels from the image on whose weights and norms stay as they are.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32; channels follow from the model.
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        model: Annotated[str, Suggest("model_names")] = "resnet18",
        frozen_stages: Annotated[int, Range(0, 5)] = 0,
    ) -> None:
        super().__init__()
        import timm

        # timm's models have attributes that their base class does not declare.
        self.model: Any
        sizes: dict[str, Any] = {"dynamic_img_size": True} if "vit" in model or "deit" in model else {}
        try:
            self.model = timm.create_model(model, features_only=True, in_chans=in_channels, **sizes)
        except TypeError:  # a model that only looks like one with a dynamic size
            self.model = timm.create_model(model, features_only=True, in_chans=in_channels)
        except (RuntimeError, AttributeError) as error:
            raise ValueError(
                f"timm has no feature maps of a model {model!r}: {error}. Choose one of its list."
            ) from None
        reductions = list(self.model.feature_info.reduction())
        # Of several maps of one stride the last has seen most. Patches of 14 px count as stride 16.
        self.taken = [max((i for i, r in enumerate(reductions) if s / 1.4 < r < s * 1.4), default=-1) for s in STRIDES]
        self.channels_last = str(getattr(self.model, "output_fmt", "")).endswith("NHWC")
        self._still = self._freeze(frozen_stages, model) if frozen_stages else []

    def _freeze(self, count: int, model: str) -> list[str]:
        """Takes gradients from all that is registered up to the end of a level; returns the names of its layers."""
        levels = self.model.feature_info.module_name()
        level = levels[min(count, len(levels)) - 1]
        starts = tuple(f"{form}." for form in (level, level.replace(".", "_"), f"model.{level}"))
        parameters = list(self.model.named_parameters())
        last = max((i for i, (name, _) in enumerate(parameters) if name.startswith(starts)), default=-1)
        if last < 0:
            raise ValueError(f"frozen_stages is {count}, {model} cannot be frozen in parts. Set 0, or freeze the node.")
        for _, parameter in parameters[: last + 1]:
            parameter.requires_grad_(False)
        layers = [name for name, module in self.model.named_modules() if name and not list(module.children())]
        end = max(i for i, name in enumerate(layers) if f"{name}.".startswith(starts))
        return layers[: end + 1]

    def train(self, mode: bool = True) -> TimmBackbone:
        super().train(mode)
        for name in self._still:
            self.model.get_submodule(name).eval()
        return self

    def forward(
        self, x: Float[Tensor, "B C H W"]
    ) -> tuple[
        Float[Tensor, "B C1 H/2 W/2"],
        Float[Tensor, "B C2 H/4 W/4"],
        Float[Tensor, "B C3 H/8 W/8"],
        Float[Tensor, "B C4 H/16 W/16"],
        Float[Tensor, "B C5 H/32 W/32"],
    ]:
        maps = self.model(x)
        if self.channels_last:
            maps = [m.permute(0, 3, 1, 2) for m in maps]
        return tuple(maps[i] if i >= 0 else None for i in self.taken)  # type: ignore[return-value]
