"""Each fault that Power BI's own tools let pass, planted in a copy of the project and found.

The first seventeen were tried on Microsoft's report CLI, JSON schemas and model parser: none of
the three finds all, and five are found by none.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboards import contract
from dashboards.powerbi import check, project
from dashboards.powerbi.declared import DENEB
from dashboards.powerbi.definition import NAME
from dashboards.powerbi.identity import name

GOLD = contract.load()
MODEL = f"{NAME}.SemanticModel/definition"
REPORT = f"{NAME}.Report/definition"
PAGE = f"{REPORT}/pages/{name('stocks')}"
Plant = Callable[[Path], None]


def visual(key: str) -> str:
    return f"{PAGE}/visuals/{name('stocks', key)}/visual.json"


def replace(file: str, old: str, new: str) -> Plant:
    def plant(root: Path) -> None:
        path = root / file
        text = path.read_text()
        assert old in text, f"nothing to replace in {file}"
        path.write_text(text.replace(old, new, 1))

    return plant


def change(file: str, *path: str | int, to: object) -> Plant:
    """Set a value of a JSON file, by the way to it."""

    def plant(root: Path) -> None:
        document = json.loads((root / file).read_text())
        inside = document
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = to
        (root / file).write_text(json.dumps(document))

    return plant


def move(file: str, to: str) -> Plant:
    def plant(root: Path) -> None:
        (root / file).rename(root / to)

    return plant


KPI = f"{MODEL}/tables/gold_kpi.tmdl"
CANDLES = f"{MODEL}/tables/gold_candlestick.tmdl"
TILES = f"{MODEL}/tables/gold_treechart.tmdl"
INSTRUMENTS = f"{MODEL}/tables/dim_instrument.tmdl"
RELATIONSHIPS = f"{MODEL}/relationships.tmdl"
THEME = f"{NAME}.Report/StaticResources/SharedResources/BaseThemes/CY26SU10.json"
ROLES = ("visual", "query", "queryState")
PRICE = "MAX ( gold_kpi[CURRENT_PRICE] )"
GUARDED_PRICE = f"IF ( [One instrument], {PRICE} )"
UNGUARDED = "measure Price: max of gold_kpi[CURRENT_PRICE] over symbols is no true number"

SECTOR_AS_VALUE = {
    "projections": [
        {
            "field": {
                "Column": {
                    "Expression": {"SourceRef": {"Entity": "dim_instrument"}},
                    "Property": "SECTOR",
                }
            },
            "queryRef": "dim_instrument.SECTOR",
            "nativeQueryRef": "SECTOR",
        }
    ]
}

# By fault: how it is planted, the file that the finding names, and what of its text.
SEVENTEEN: dict[str, tuple[Plant, str, str]] = {
    "duplicate formatString": (
        replace(KPI, "formatString: #,0.00", "formatString: #,0.00\n\t\tformatString: 0"),
        KPI,
        "measure Price: expected formatString once, found it again",
    ),
    "relationship to an unknown column": (
        replace(RELATIONSHIPS, "dim_instrument.INSTRUMENT_ID", "dim_instrument.ISIN"),
        RELATIONSHIPS,
        "expected a column as toColumn, found dim_instrument.ISIN",
    ),
    "spaces instead of tabs": (
        replace(KPI, "\tcolumn SIMULATED", "    column SIMULATED"),
        KPI,
        "expected tabs before an object, found spaces",
    ),
    "dataType float": (
        replace(KPI, "dataType: double", "dataType: float"),
        KPI,
        "column CURRENT_PRICE: expected a type of TMDL, found float",
    ),
    "broken DAX": (
        replace(KPI, GUARDED_PRICE, GUARDED_PRICE[:-1]),
        KPI,
        "measure Price: DAX: expected ,, found the end",
    ),
    "undefined parameter of M": (
        replace(KPI, '#"Warehouse"', '#"Compute"'),
        KPI,
        'partition gold_kpi: expected a parameter #"Compute", found none',
    ),
    "measure named as a column": (
        replace(KPI, "measure Price =", "measure Current_Price ="),
        KPI,
        "measure Current_Price: expected a name that no column has",
    ),
    "one measure name in two tables": (
        replace(CANDLES, "measure Open =", "measure Price ="),
        CANDLES,
        "measure Price: expected a name that no other measure has",
    ),
    "visual of an unknown measure": (
        replace(visual("card Price"), '"Property": "Price"', '"Property": "Cost"'),
        visual("card Price"),
        "expected a measure of the model, found gold_kpi[Cost]",
    ),
    "unknown role in the tree map": (
        replace(visual("treemap"), '"Group": {', '"Category": {'),
        visual("treemap"),
        "expected a role of Group, Details, Values, Tooltips, found Category",
    ),
    "unknown visualType": (
        change(visual("change"), "visual", "visualType", to="candlestickChart"),
        visual("change"),
        "expected a visual that Power BI has, found candlestickChart",
    ),
    "unknown property in visual.json": (
        change(visual("slicer"), "visual", "colour", to="red"),
        visual("slicer"),
        "'colour' was unexpected",
    ),
    "custom visual not registered": (
        change(f"{REPORT}/report.json", "publicCustomVisuals", to=[]),
        f"{REPORT}/report.json",
        f"{DENEB}: expected in publicCustomVisuals, found not there",
    ),
    "visual off the page": (
        change(visual("treemap"), "position", "x", to=900),
        visual("treemap"),
        "expected on the page (1280 x 720), found to reach 1332 x 434",
    ),
    "page missing in pages.json": (
        change(f"{REPORT}/pages/pages.json", "pageOrder", to=["0" * 20]),
        f"{REPORT}/pages/pages.json",
        f"page {name('stocks')}: expected in pageOrder, found not there",
    ),
    "wrong path of the model": (
        replace(f"{NAME}.Report/definition.pbir", f"../{NAME}.Sem", "../Stock.Sem"),
        f"{NAME}.Report/definition.pbir",
        "expected a model at ../Stock.SemanticModel, found none",
    ),
    "dataset in the artifacts of .pbip": (
        change(f"{NAME}.pbip", "artifacts", 0, "dataset", to={"path": f"{NAME}.SemanticModel"}),
        f"{NAME}.pbip",
        "'dataset' was unexpected",
    ),
}

MORE: dict[str, tuple[Plant, str, str]] = {
    "price without its guard": (
        replace(KPI, GUARDED_PRICE, PRICE),
        KPI,
        UNGUARDED,
    ),
    "guard on the symbol alone": (
        replace(INSTRUMENTS, "&& HASONEVALUE ( dim_instrument[INSTRUMENT_ID] )", ""),
        KPI,
        UNGUARDED,
    ),
    "guard that either of two satisfies": (
        replace(INSTRUMENTS, "&& HASONEVALUE", "|| HASONEVALUE"),
        KPI,
        UNGUARDED,
    ),
    "guard asked for and not used": (
        replace(KPI, GUARDED_PRICE, f"IF ( [One instrument], 0, 1 ) + {PRICE}"),
        KPI,
        UNGUARDED,
    ),
    "guard of the other branch": (
        replace(KPI, GUARDED_PRICE, f"IF ( [One instrument], 0, {PRICE} )"),
        KPI,
        UNGUARDED,
    ),
    "guard that is denied": (
        replace(KPI, GUARDED_PRICE, f"IF ( NOT [One instrument], {PRICE} )"),
        KPI,
        UNGUARDED,
    ),
    "guard that is compared": (
        replace(KPI, GUARDED_PRICE, f"IF ( [One instrument] = 0, {PRICE} )"),
        KPI,
        UNGUARDED,
    ),
    "open over several candles": (
        replace(
            CANDLES,
            "[One candle], MAX ( gold_candlestick[O",
            "[One series], MAX ( gold_candlestick[O",
        ),
        CANDLES,
        "measure Open: max of gold_candlestick[OPEN_PRICE] over time is no true number",
    ),
    "volume over intervals": (
        replace(CANDLES, "HASONEVALUE ( gold_candlestick[CANDLE_INTERVAL] ),", "1 = 1,"),
        CANDLES,
        "sum of gold_candlestick[VOLUME_SHARES] needs an IF for one CANDLE_INTERVAL",
    ),
    "money of several currencies": (
        replace(TILES, "HASONEVALUE ( gold_treechart[CURRENCY] )", "1 = 1"),
        TILES,
        "sum of gold_treechart[SIZE_DOLLAR_VOLUME] needs an IF for one CURRENCY",
    ),
    "mean of prices over symbols": (
        replace(KPI, "SUM ( gold_kpi[VOLUME_SHARES] )", "AVERAGE ( gold_kpi[CURRENT_PRICE] )"),
        KPI,
        "measure Volume: mean of gold_kpi[CURRENT_PRICE] over symbols is no true number",
    ),
    "unknown column in DAX": (
        replace(KPI, "gold_kpi[CHANGE_PCT]", "gold_kpi[CHANGE]"),
        KPI,
        "measure Change %: DAX: expected in the model, found not there: gold_kpi[CHANGE]",
    ),
    "unknown function in DAX": (
        replace(KPI, "DIVIDE (", "RATIO ("),
        KPI,
        "measure Change %: DAX: expected a function that is known, found RATIO",
    ),
    "measure made of itself": (
        replace(INSTRUMENTS, "HASONEVALUE ( dim_instrument[SYMBOL] )", "[One series]"),
        CANDLES,
        "measure One series: expected no measure that is made of itself",
    ),
    "column that may be summed": (
        replace(
            TILES,
            "\t\tsummarizeBy: none\n\t\tsourceColumn: SIZE",
            "\t\tsummarizeBy: sum\n\t\tsourceColumn: SIZE",
        ),
        TILES,
        "column SIZE_DOLLAR_VOLUME: expected summarizeBy: none, found sum",
    ),
    "implicit measures allowed": (
        replace(f"{MODEL}/model.tmdl", "\tdiscourageImplicitMeasures\n", ""),
        f"{MODEL}/model.tmdl",
        "expected discourageImplicitMeasures",
    ),
    "column that gold does not have": (
        replace(KPI, "sourceColumn: CURRENT_PRICE", "sourceColumn: LAST_PRICE"),
        KPI,
        "column CURRENT_PRICE: expected a column of gold's gold_kpi",
    ),
    "price as a decimal of four places": (
        replace(CANDLES, "dataType: double", "dataType: decimal"),
        CANDLES,
        "column OPEN_PRICE: expected double of gold's decimal(18,6), found decimal",
    ),
    "another table as the source": (
        replace(KPI, 'Name="GOLD_KPI"', 'Name="GOLD_MOVERS"'),
        KPI,
        "partition gold_kpi: expected the source Table GOLD_KPI",
    ),
    "import instead of DirectQuery": (
        replace(KPI, "mode: directQuery", "mode: import"),
        KPI,
        "partition gold_kpi: expected mode directQuery, found import",
    ),
    "step of M with a parameter's name": (
        replace(KPI, "GoldDatabase = Source", "Database = Source"),
        KPI,
        "step Database has a parameter's name, and would read itself",
    ),
    "every symbol that an instrument had": (
        replace(INSTRUMENTS, "Table.SelectRows(GoldTable, each [IS_CURRENT] = true)", "GoldTable"),
        RELATIONSHIPS,
        "expected dim_instrument to have one row for each INSTRUMENT_ID",
    ),
    "empty parameter": (
        replace(f"{MODEL}/expressions.tmdl", '"STOCKS_MDS_READER_WH"', '""'),
        f"{MODEL}/expressions.tmdl",
        "expression Warehouse: expected a parameter with a value, found none",
    ),
    "simulated data let in": (
        replace(f"{PAGE}/page.json", '"Value": "false"', '"Value": "true"'),
        f"{PAGE}/page.json",
        "expected a filter gold_kpi[SIMULATED] = false, found none",
    ),
    "filter out of sight": (
        change(f"{PAGE}/page.json", "filterConfig", "filters", 0, "isHiddenInViewMode", to=True),
        f"{PAGE}/page.json",
        "filter gold_kpi[SIMULATED]: expected in sight, found hidden",
    ),
    "filter on an unknown column": (
        change(
            visual("candles"),
            "filterConfig",
            "filters",
            0,
            "field",
            "Column",
            "Property",
            to="INTERVAL",
        ),
        visual("candles"),
        "expected a column of the model, found gold_candlestick[INTERVAL]",
    ),
    "title by an unknown measure": (
        replace(visual("treemap"), '"Property": "Traded value title"', '"Property": "Title"'),
        visual("treemap"),
        "expected a measure of the model, found gold_treechart[Title]",
    ),
    "column where a measure belongs": (
        change(visual("treemap"), *ROLES, "Tooltips", to=SECTOR_AS_VALUE),
        visual("treemap"),
        "role Tooltips takes a Measure, found dim_instrument.SECTOR",
    ),
    "visual over another": (
        change(visual("change"), "position", "y", to=400),
        visual("treemap"),
        "lies over",
    ),
    "unknown formatting": (
        replace(visual("slicer"), '"strictSingleSelect"', '"onlyOne"'),
        visual("slicer"),
        "expected formatting that it has, found selection.onlyOne",
    ),
    "specification of an unknown field": (
        replace(visual("candles"), '\\"field\\":\\"High\\"', '\\"field\\":\\"Top\\"'),
        visual("candles"),
        "expected a field Top in the visual, found none",
    ),
    "specification that fetches": (
        replace(visual("candles"), '{\\"name\\":\\"dataset\\"}', '{\\"url\\":\\"https://a.b\\"}'),
        visual("candles"),
        "expected a specification that fetches nothing",
    ),
    "quote that ends the specification": (
        replace(visual("candles"), '\\"unchanged\\"', "'"),
        visual("candles"),
        "is not valid",
    ),
    "visual in another's folder": (
        change(visual("heading"), "name", to="0" * 20),
        visual("heading"),
        "expected the folder's name",
    ),
    "interaction with a visual that is gone": (
        change(f"{PAGE}/page.json", "visualInteractions", 0, "target", to="0" * 20),
        f"{PAGE}/page.json",
        "expected a visual of the page as target, found none",
    ),
    "theme that is gone": (
        move(THEME, f"{NAME}.Report/theme.json"),
        f"{REPORT}/report.json",
        "resource CY26SU10: expected a file BaseThemes/CY26SU10.json, found none",
    ),
    "file that is no JSON": (
        replace(f"{REPORT}/version.json", "}", ""),
        f"{REPORT}/version.json",
        "file: expected JSON",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(project.FOLDER, tmp_path / "project"))


def test_the_project_has_no_fault() -> None:
    assert check.findings(project.FOLDER, GOLD) == []


def test_seventeen_faults_are_known() -> None:
    assert len(SEVENTEEN) == 17


@pytest.mark.parametrize("fault", [*SEVENTEEN, *MORE])
def test_a_fault_is_found_with_its_file_and_object(copy: Path, fault: str) -> None:
    plant, file, message = (SEVENTEEN | MORE)[fault]
    plant(copy)

    found = check.findings(copy, GOLD)

    assert any(f.file == file and message in str(f) for f in found), "\n".join(map(str, found))
    assert all("\n" not in str(f) for f in found)
