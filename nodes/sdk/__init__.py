"""For whoever writes a component: the decorators and markers, and the machinery that reads them.

`declare` (decorators), `kinds` (annotations to port kinds), `builder` (composites), `build` (graph to module),
`discover` (finding components). `spec` is plain data and imports no torch; nothing is re-exported here so that
importing it stays free.
"""
