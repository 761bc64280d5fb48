"""``python -m ufm`` is the command ``ufm``."""

from ufm.cli import main

main()
