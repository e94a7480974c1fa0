"""Serve the emulator on a port of 127.0.0.1 until standard input ends."""

import argparse
import sys

# Before the shim: once the module of this name is imported, it hides the function.
from fakesnow import server

from tests.emulator import shim


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    shim.install()
    with server(port=port):
        # Ends with whoever started it, however that one ended.
        sys.stdin.read()


if __name__ == "__main__":
    main()
