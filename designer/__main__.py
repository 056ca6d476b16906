"""`python -m designer`: the `netwright` command where its script is not on the path."""

from designer.cli import main

main()
