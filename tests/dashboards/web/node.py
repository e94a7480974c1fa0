"""The page's pure JavaScript, played without a browser."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from ingestion.settings import ROOT

ASSETS = ROOT / "dashboards/web/assets"


def play(asset: str, program: str, argument: Any) -> Any:
    """Return what a function of JavaScript gives for a JSON value; `it` is the asset's module."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is missing (Debian: apt install nodejs): it plays the browser's part")
    script = f"""const it = require({json.dumps(str(ASSETS / asset))});
        const given = JSON.parse(require("fs").readFileSync(0));
        console.log(JSON.stringify(({program})(given)));"""
    done = subprocess.run(
        [node, "-e", script],
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
