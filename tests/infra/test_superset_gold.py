"""Where Superset reads gold: the build that is published now, and nothing but that."""

from pathlib import Path

import duckdb
import pytest
from sqlalchemy.engine.url import make_url

from infra.superset.gold import PLACEHOLDERS, Gold

OURS = make_url(PLACEHOLDERS["duckdb"])


def publish(folder: Path, build: str) -> Path:
    path = folder / f"gold-{build}.duckdb"
    with duckdb.connect(path) as db:
        db.execute(f"create table build as select '{build}' as id")
    new = folder / ".current.tmp"
    new.symlink_to(path.name)
    new.replace(folder / "current")
    return path


def connect(gold: Gold) -> duckdb.DuckDBPyConnection:
    url, engine = gold.connection(OURS, {"poolclass": None})
    assert url.database is not None
    return duckdb.connect(url.database, **engine["connect_args"])


def test_a_new_build_is_seen_while_the_old_one_is_being_read(tmp_path: Path) -> None:
    gold = Gold(tmp_path, None)
    publish(tmp_path, "one")
    with connect(gold) as old:
        publish(tmp_path, "two")
        with connect(gold) as new:
            assert new.execute("from build").fetchall() == [("two",)]
        assert old.execute("from build").fetchall() == [("one",)]


def test_it_is_read_only_and_no_way_to_other_files(tmp_path: Path) -> None:
    publish(tmp_path, "one")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with connect(Gold(tmp_path, None)) as db:
        for sql, reason in (
            ("create table x as select 1", "read-only"),
            (f"from read_csv('{tmp_path}/secret.csv')", "disabled"),
            ("set enable_external_access = true", "lock"),
        ):
            with pytest.raises(duckdb.Error, match=reason):
                db.execute(sql)


def test_without_a_build_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="found no build"):
        Gold(tmp_path, None).connection(OURS, {})


def test_a_url_leads_to_postgresql_and_no_other_database_is_touched(tmp_path: Path) -> None:
    address = "postgresql+psycopg2://reader@db/stocks"
    for asked, options in (
        ("", "-c timezone=UTC"),
        ("?options=-c%20search_path%3Dx", "-c search_path=x -c timezone=UTC"),
    ):
        gold = Gold(tmp_path, address + asked)
        url, engine = gold.connection(make_url(gold.placeholder()), {"a": 1}, "user", None, None)
        assert url == make_url(address + asked)
        assert engine == {"a": 1, "connect_args": {"options": options}}

    other = make_url("duckdb:////tmp/own.duckdb")
    assert gold.connection(other, {"a": 1}) == (other, {"a": 1})
