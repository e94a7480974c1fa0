"""Grafana's dashboard: what can be known of it without Grafana."""

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from infra.prometheus.grafana import dashboard
from infra.prometheus.grafana.panels import ROWS, WIDTH

FOUND: dict[str, Any] = json.loads(dashboard.FILE.read_text())
PANELS: list[dict[str, Any]] = FOUND["panels"]


def test_it_is_what_it_is_generated_from_twice_the_same() -> None:
    assert dashboard.FILE.read_text() == dashboard.render() == dashboard.render()


def test_ids_are_unique() -> None:
    assert FOUND["uid"] == "tapehouse-operations"
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    others = [json.loads(p.read_text())["uid"] for p in dashboard.FILE.parent.glob("*.json")]
    assert len(set(others)) == len(others)
    for panel in PANELS:
        refs = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(refs)) == len(refs)


def test_panels_lie_on_the_grid_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    for one in places:
        assert one["x"] >= 0 and one["x"] + one["w"] <= WIDTH, one
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, (a, b)
    for panels in ROWS.values():
        assert sum(panel.width for panel in panels) % WIDTH == 0


def test_every_panel_has_queries_of_the_chosen_source() -> None:
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"], panel["title"]
            assert all(target["legendFormat"] for target in panel["targets"])


def as_rules(folder: Path, exprs: list[str]) -> Path:
    """Every expression as a recording rule, which is what promtool reads."""
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(exprs)]
    path = folder / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    return path


def test_every_expression_parses(promtool: str, tmp_path: Path) -> None:
    exprs = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    assert len(exprs) > 70
    for expected, found in ((0, exprs), (1, [*exprs, "sum by (a (b)"])):
        done = subprocess.run(
            [promtool, "check", "rules", "--lint=none", str(as_rules(tmp_path, found))],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
