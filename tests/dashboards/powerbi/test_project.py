"""The committed project is what the definition gives, twice the same, and as the brief wants it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from dashboards import contract
from dashboards.powerbi import project, report, tmdl
from dashboards.powerbi.declared import DENEB, ModelTable, measure
from dashboards.powerbi.definition import CONNECTION, MODEL, PAGE
from dashboards.powerbi.panels import PANELS
from ingestion.errors import ContractError
from ingestion.settings import ROOT
from tests.dashboards.powerbi.support import run

GOLD = contract.load()


def test_two_generations_are_the_same_bytes(tmp_path: Path) -> None:
    # Two processes: an order that hashing of text decides would differ between them.
    folders = [tmp_path / "first", tmp_path / "second"]
    for seed, folder in enumerate(folders):
        script = (
            "from pathlib import Path; from dashboards import contract;"
            "from dashboards.powerbi import project;"
            f"project.write(project.files(contract.load()), Path({str(folder)!r}))"
        )
        run("-c", script, PYTHONHASHSEED=str(seed), TZ=("Asia/Tokyo", "UTC")[seed])

    first, second = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders
    )
    assert len(first) > 30
    assert first == second


def test_the_committed_project_is_up_to_date() -> None:
    assert project.outdated(project.files(GOLD)) == [], "run python -m dashboards.powerbi generate"


def test_check_names_what_differs_and_writing_mends_it(tmp_path: Path) -> None:
    wanted = project.files(GOLD)
    folder = Path(shutil.copytree(project.FOLDER, tmp_path / "project"))
    altered, added = folder / "StockMarket.pbip", folder / "StockMarket.Report/old.json"
    altered.write_text("{}")
    added.write_text("{}")
    (folder / "StockMarket.Report/definition.pbir").unlink()
    local = folder / "StockMarket.Report/.pbi/localSettings.json"
    local.parent.mkdir()
    local.write_text("{}")

    different = ["StockMarket.Report/definition.pbir", "StockMarket.Report/old.json", altered.name]
    assert project.outdated(wanted, folder) == different
    assert project.write(wanted, folder) == different
    assert project.outdated(wanted, folder) == []
    assert local.exists(), "what Desktop keeps for its reader is not ours to remove"


def test_lines_that_a_checkout_ended_as_windows_does_are_no_difference(tmp_path: Path) -> None:
    wanted = project.files(GOLD)
    folder = tmp_path / "project"
    project.write(wanted, folder)
    for path in folder.rglob("*.tmdl"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert project.outdated(wanted, folder) == []


def test_a_column_that_gold_does_not_have_stops_the_generator() -> None:
    model = type(MODEL)(CONNECTION, [ModelTable("gold_kpi", ["last_price"])], [])

    with pytest.raises(ContractError, match=r"gold_kpi\.last_price"):
        tmdl.files(model, GOLD)


def test_the_older_driver_is_a_choice_in_one_place() -> None:
    older = type(CONNECTION)(CONNECTION.parameters, implementation=None)
    model = type(MODEL)(older, MODEL.tables, MODEL.relationships)

    texts = tmdl.files(model, GOLD).values()

    assert not any("Implementation" in text for text in texts)
    assert any('[Role=#"Role"])' in text for text in texts)


def test_the_parameters_are_what_bootstrap_makes_in_snowflake() -> None:
    """The defaults are the names of infra/snowflake, for the database that it makes by default."""
    parameters = CONNECTION.parameters
    rights = yaml.safe_load((ROOT / "infra/snowflake/rights.yml").read_text())

    assert parameters["Database"] == "STOCKS_MDS"
    assert parameters["Schema"] == "GOLD"
    assert "warehouse READER_WH" in str(rights)
    assert parameters["Role"] == f"{parameters['Database']}_READER"
    assert parameters["Warehouse"] == f"{parameters['Database']}_READER_WH"


def test_the_page_has_what_was_asked_for() -> None:
    types = [visual.type for visual in PAGE.visuals]

    assert len([v for v in PAGE.visuals if v.key.startswith("card ")]) == 5
    assert [types.count(t) for t in (DENEB, "treemap", "clusteredBarChart", "slicer")] == [1] * 4
    assert {"published", "freshness"} <= {visual.key for visual in PAGE.visuals}


def test_the_slicer_takes_one_symbol_of_those_that_have_a_price() -> None:
    (slicer,) = [visual for visual in PAGE.visuals if visual.key == "slicer"]

    assert slicer.objects["selection"]["strictSingleSelect"] is True
    assert [f.field for f in slicer.filters] == [measure("gold_kpi", "Has price")]


def test_a_click_in_the_overviews_contradicts_no_slicer() -> None:
    by_key = {v.key for v in PAGE.visuals if v.roles} - {"freshness"}
    overviews = {"treemap", "change"}

    for source in overviews:
        untouched = {target for s, target in PAGE.unaffected if s == source}
        assert untouched == by_key - {source}
    assert {("slicer", o) for o in overviews} <= set(PAGE.unaffected)


def test_every_column_of_the_model_is_used() -> None:
    used = {(t, c) for panel in PANELS.values() for t, columns in panel.items() for c in columns}
    declared = {(table.name, c) for table in MODEL.tables for c in table.columns}

    assert declared == used


def test_text_is_quoted_as_power_bi_does() -> None:
    assert report.literal("it's") == "'it''s'"
    assert report.literal(True) == "true"
    assert report.literal(1) == "1L"
    assert tmdl.quoted("Change %") == "'Change %'"
    assert tmdl.quoted("Price") == "Price"


def test_the_command_fails_on_a_fault_and_names_it(tmp_path: Path) -> None:
    """Of a copy of the package: the folder is the command's own."""
    shutil.copytree(ROOT / "dashboards", tmp_path / "dashboards")
    for needed in ("ingestion", "dbt_stocks"):
        (tmp_path / needed).symlink_to(ROOT / needed)
    page = next((tmp_path / "dashboards/powerbi/project").rglob("page.json"))
    document = json.loads(page.read_text())
    page.write_text(json.dumps(document | {"colour": "red"}))

    failed = run("-m", "dashboards.powerbi", "generate", "--check", cwd=tmp_path, fails=True)

    assert "page.json: out of date" in failed.stdout
    assert "'colour' was unexpected" in failed.stderr
    run("-m", "dashboards.powerbi", "generate", cwd=tmp_path)
    run("-m", "dashboards.powerbi", "generate", "--check", cwd=tmp_path)
