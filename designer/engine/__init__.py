"""Shapes, analysis and compilation of a document, and the process that serves them to the window."""
