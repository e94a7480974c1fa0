"""What the drill leans on: the part under test, and nothing else of ours."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def imported(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_the_simulation_imports_ingestion_land_alone() -> None:
    files = sorted((ROOT / "drill" / "simulation").glob("*.py"))
    ours = {name for file in files for name in imported(file) if name.split(".")[0] in OURS}

    assert {
        name for name in ours if not name.startswith(("drill.simulation", "ingestion.land"))
    } == set()


def test_the_judge_shares_no_code_with_the_core() -> None:
    found = imported(ROOT / "drill" / "simulation" / "checks.py")

    assert {name for name in found if name.startswith("ingestion")} == {"ingestion.land.protocol"}


def test_the_matrix_starts_its_auditors_and_never_imports_them() -> None:
    files = sorted((ROOT / "drill" / "matrix").rglob("*.py"))

    assert files
    assert [file for file in files if any(n.split(".")[0] == "audit" for n in imported(file))] == []


def test_the_lakes_drill_imports_jobs_in_the_process_that_runs_them_alone() -> None:
    files = sorted((ROOT / "drill" / "lake").glob("*.py"))
    users = {
        file.name
        for file in files
        if any(name.split(".")[0] in ("spark_jobs", "pyspark", "audit") for name in imported(file))
    }

    assert users == {"breaks.py", "worker.py"}
    assert "drill.lake.worker" not in imported(ROOT / "drill" / "__main__.py")


def test_the_product_does_not_know_of_the_drill() -> None:
    files = [
        file
        for name in sorted(OURS - {"drill", "benchmarks"})
        for file in (ROOT / name).rglob("*.py")
    ]

    assert files
    assert [file for file in files if any(n.split(".")[0] == "drill" for n in imported(file))] == []


def test_the_hour_runs_producers_and_servers_and_never_imports_them() -> None:
    files = sorted((ROOT / "drill" / "hour").glob("*.py"))
    ours = {name for file in files for name in imported(file) if name.split(".")[0] in OURS}
    allowed = ("drill.hour", "infra.local", "ingestion.contracts.topics", "ingestion.errors")

    assert files
    assert {n for n in ours if not n.startswith((*allowed, "ingestion.settings"))} == set()


def test_the_hour_s_judge_shares_no_code_with_anybody() -> None:
    parts = [ROOT / "drill" / "hour" / f"{name}.py" for name in ("judge", "facts", "truth")]
    found = {name for part in parts for name in imported(part) if name.split(".")[0] in OURS}

    assert found == {"drill.hour.facts", "drill.hour.truth"}


def test_what_the_stream_is_judged_by_shares_no_code_with_anybody() -> None:
    names = ("brute_force", "odd", "expected", "judge", "content")
    parts = [ROOT / "drill" / "stream" / f"{name}.py" for name in names]
    found = {name for part in parts for name in imported(part) if name.split(".")[0] in OURS}

    assert found
    assert {name for name in found if not name.startswith("drill.stream")} == set()
    inside = {name.removeprefix("drill.stream.") for name in found}
    assert inside <= {"drill.stream", *names}


def test_the_stream_s_drill_runs_jobs_as_processes_and_never_imports_them() -> None:
    files = sorted((ROOT / "drill" / "stream").glob("*.py"))
    ours = {name for file in files for name in imported(file) if name.split(".")[0] in OURS}

    assert files
    assert not [n for n in ours if n.split(".")[0] in ("spark_jobs", "audit", "pipeline")]
