"""The anchors command: how well a document's anchors fit its data, and better ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from designer.cli.output import console, print_json
from designer.graph.document import Document
from designer.graph.errors import NetwrightError


def anchors_of(file: Path, write: bool, as_json: bool) -> None:
    """Fits anchors to the data for each head that has some, and writes them into the document if asked."""
    from designer.data.anchors import box_sizes, fit_anchors, mean_overlap, share_that_fits
    from designer.engine.compile import compile_document
    from nodes.sdk.discover import library

    document = Document.load(file, library().catalogue)
    heads = [n for n in document.data.nodes if (spec := document.spec(n)) is not None and spec.param("anchors")]
    if not heads:
        raise NetwrightError(f"{file}: no head of this document has a list of anchors, so there is nothing to fit.")
    sizes = box_sizes(document.data.data, compile_document(document.data).image_size)
    facts: list[dict[str, Any]] = []
    for head in heads:
        spec = document.spec(head)
        assert spec is not None
        param = spec.param("anchors")
        assert param is not None
        now = list(head.params.get("anchors", param.default))
        new = fit_anchors(sizes, len(now) // 2)
        figures = [
            {"anchors": a, "fit": share_that_fits(sizes, a), "overlap": mean_overlap(sizes, a)} for a in (now, new)
        ]
        facts.append({"head": head.title, "boxes": len(sizes), "now": figures[0], "fitted": figures[1]})
        if write:
            document.set_param(head, "anchors", new)
    if write:
        document.save(file)
    if as_json:
        print_json(facts)
        return
    for fact in facts:
        console.print(f"{fact['head']}: {fact['boxes']} boxes")
        for name in ("now", "fitted"):
            own = fact[name]
            said = f"{own['fit']:.1%} of the boxes fit an anchor, mean overlap {own['overlap']:.3f}: {own['anchors']}"
            console.print(f"  {name:<7}{said}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Written to {file}." if write else f"To use them: netwright anchors {file} --write", soft_wrap=True)
