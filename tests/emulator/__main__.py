"""Serve the emulator on a port of 127.0.0.1: for a program, or with --home for a person."""

import argparse
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

# Before the shim: once the module of this name is imported, it hides the function.
from fakesnow import server

from tests.emulator import copying, process, shim


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--home", type=Path, help="keep a key there, print the settings, serve until Ctrl-C"
    )
    arguments = parser.parse_args()
    shim.install()
    # It warns of each statement that it cannot read, also of those that are passed over.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    with server(port=arguments.port), suppress(KeyboardInterrupt):
        if arguments.home is None:
            # Ends with whoever started it, however that one ended.
            sys.stdin.read()
        else:
            emulator = process.at(arguments.home, arguments.port)
            os.environ[copying.BUCKETS] = str(emulator.buckets)
            _show(emulator)
            threading.Event().wait()


def _show(emulator: process.Emulator) -> None:
    for name, value in emulator.environment.items():
        print(f"export {name}={value}")  # noqa: T201 - what it is asked for
    print("# until Ctrl-C; what is in it ends with it", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
