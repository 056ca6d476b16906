"""Writes docs/document.schema.json, the JSON Schema of a .netwright file, from the classes that read it.

    python docs/make_schema.py

A test holds the file to this script, and every template and every kept old document to the schema.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from designer.graph.model import VERSION, GraphData

PAGE = Path(__file__).with_name("document.schema.json")


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12). Fields that the program does not know are allowed, as it keeps them."""
    found = GraphData.model_json_schema(mode="validation")
    found["properties"]["version"] |= {"minimum": 1, "maximum": VERSION}
    found["required"] = ["version", "nodes"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Netwright document",
        **{k: v for k, v in found.items() if k != "title"},
    }


def text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    print(PAGE.name)
