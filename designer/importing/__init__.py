"""Other people's models entering Netwright: YAML tables, ONNX files, torch modules. Only a trusted Python file runs."""

from __future__ import annotations

from designer.importing.table import ImportFailed, Table, read_table
from designer.importing.table_document import Imported, import_table

__all__ = ["ImportFailed", "Imported", "Table", "import_table", "read_table"]
