"""The component library: plain `nn.Module` classes that describe themselves.

`from nodes.attention.channel import SqueezeExcite` in a notebook gives an ordinary module. Importing `nodes`
alone, or `nodes.sdk.spec`, does not import torch.
"""
