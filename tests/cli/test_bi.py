"""`dozor bi`: what it prints, and what it refuses where there are no views."""

from tests.cli.test_plan import Run, run  # noqa: F401 - a fixture


def test_bi_commands_on_sqlite(run: Run) -> None:  # noqa: F811
    code, out, _ = run("bi", "grant", "anna", "--account", "romashka", "--print")
    assert code == 0
    assert "VALUES ('romashka', 'anna');\n" in out
    assert 'bi_kpi_daily, bi_plans TO "anna";' in out
    code, out, err = run("bi", "grant", "anna")
    assert (code, out) == (2, "")
    assert "PostgreSQL" in err
    code, _, err = run("bi", "grant", "anna", "--account", "nobody")
    assert (code, "nobody" in err) == (2, True)
    code, _, err = run("bi", "grant", "x'; DROP", "--print")
    assert (code, "no name of a database role" in err) == (2, True)
    assert run("bi", "list", "--json")[:2] == (0, "[]\n")
