"""Start the `catalog` command, also as ``python -m catalog``: Ctrl-C counts from the first moment."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run `catalog.cli.main`; loading what a command needs takes a moment, in which somebody may change their mind."""
    try:
        from catalog.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
