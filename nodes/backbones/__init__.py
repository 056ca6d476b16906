"""Backbones: from an image to a pyramid of feature maps."""
