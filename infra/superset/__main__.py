"""``python -m infra.superset``, in Superset's environment: `make superset` calls it."""

import argparse
import sys
from pathlib import Path

from superset.app import create_app

from infra.superset import bundle


def main() -> int:
    """Run a command; what went wrong is for the log that the caller shows the end of."""
    parser = argparse.ArgumentParser(prog="python -m infra.superset", description=__doc__)
    parser.add_argument("command", choices=["prepare", "import", "export"])
    parser.add_argument("--folder", type=Path, default=bundle.FOLDER, help="the bundle's folder")
    options = parser.parse_args()
    with create_app().app_context():
        # Superset's models are made of the application's settings.
        from infra.superset.commands import COMMANDS

        sys.stdout.write(COMMANDS[options.command](options.folder) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
