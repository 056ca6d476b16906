"""A frozen head takes part in training: it gives raw maps for the loss, and its weights and norms hold still."""

from __future__ import annotations

import torch

from designer.engine.compile import compile_document
from designer.graph.templates import load_template
from nodes.sdk.discover import library


def test_frozen_head_still_gives_what_its_loss_takes() -> None:
    document = load_template("quick-start", library().catalogue)
    head_id = compile_document(document.data).heads[0].node_id
    document.set_frozen(head_id, True)
    compiled = compile_document(document.data)
    compiled.train()
    head = compiled.heads[0].module
    before = {name: value.clone() for name, value in head.state_dict().items()}
    assert compiled.train_model is not None
    (raw,) = compiled.train_model(torch.rand(2, 3, *compiled.image_size))
    targets = {"boxes": torch.tensor([[[10.0, 10, 60, 60]]]).repeat(2, 1, 1), "labels": torch.zeros(2, 1).long()}
    sum(head.loss(raw, targets).values()).backward()  # type: ignore[operator]
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert all(p.grad is None for p in head.parameters())
    assert any(p.grad is not None and p.grad.any() for p in compiled.model.parameters())
