"""`python -m mesh.cli` is the command `cartmesh`."""

from mesh.cli import main

main()
