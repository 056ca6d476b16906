"""Writes docs/advice.md, the page of all advice: `python docs/make_advice.py`. A test compares it with the rules."""

from __future__ import annotations

from pathlib import Path

from designer.engine.advice import rules

PAGE = Path(__file__).parent / "advice.md"
HEAD = """# Advice

What the Problems list says beside errors and warnings, written by `python docs/make_advice.py` from the rules in
`designer/engine/advice/`. A rule speaks only about a design that runs. Mute one in a document by its fix, or under
**Model > Advice**; the document keeps that.

"""


def page() -> str:
    """The text, a section for each rule."""
    return HEAD + "\n".join(f"## {rule.title}\n\n{rule.reason}\n\n`{rule.code}`\n" for rule in rules())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name)
