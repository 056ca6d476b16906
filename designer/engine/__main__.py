"""`python -m designer.engine`: the engine process."""

from designer.engine.server import main

main()
