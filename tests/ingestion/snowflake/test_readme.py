"""The project's README says what rights.yml and exercised.yml say."""

import yaml

from ingestion.settings import ROOT
from ingestion.snowflake import rights

README = (ROOT / "README.md").read_text()
EXERCISED = yaml.safe_load((ROOT / "infra/snowflake/exercised.yml").read_text())


def test_the_rights_table_is_rights_yml() -> None:
    """A row for each role and set of privileges."""
    objects: dict[tuple[str, str], list[str]] = {}
    for role, name, privileges in rights.table(rights.load()):
        objects.setdefault((role, privileges), []).append(name)
    rows = [
        f"| {role} | {privileges} | {', '.join(names)} |"
        for (role, privileges), names in objects.items()
    ]

    assert "\n".join(rows) in README
    assert README.count("| LOADER |") == sum(row.startswith("| LOADER |") for row in rows)


def test_the_table_of_what_is_exercised_is_exercised_yml() -> None:
    rows = [
        f"| {name} | {'yes' if row['exercised'] else 'no'} | {row['why']} |"
        for name, row in EXERCISED["features"].items()
    ]

    assert "\n".join(rows) in README


def test_the_statements_that_are_not_exercised_are_named() -> None:
    for is_exercised, words in ((True, "run on the emulator"), (False, "not run on anything")):
        found = [
            name
            for name, row in EXERCISED["statements"].items()
            if row["exercised"] == is_exercised
        ]
        assert f"{words}: {', '.join(found)}." in " ".join(README.split())
