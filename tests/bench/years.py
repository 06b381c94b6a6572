"""Five years of a large department, made inside the database by plain SQL, the same every time.

Deals come evenly, to sellers of unequal diligence, in four pipelines; 15 of 100 are won, the rest
lost within two months, but for a few that stand open for ever. Each leaves behind what the figures
read: flows, steps of levels, values to be ranked, parts of cohorts, tasks, violations. No row
depends on a generator of chance: draws are remainders of the deal's number.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

from service.domain.calendar import make_calendar
from service.domain.directory import Directory, LossReason, Pipeline, Seller
from service.kpi.parts import STAYS
from service.store import rollups
from service.store.engine import is_sqlite, open_engine, transaction
from tests import world

FIRST, LAST = date(2021, 12, 1), date(2026, 11, 16)
NOW = "2026-11-16 12:00"
KNOWN = date(2025, 1, 1)  # the stages that a deal was in are known of those born since
SELLERS = [str(n) for n in range(101, 146)]
PIPELINES = ("31", "32", "33", "34")
FIRST_DEAL = 10_000_000
DIRECTORY = Directory(
    timezone="Europe/Moscow", currency="RUB", telephony=True, complete_users=True,
    external_id="31000001", subdomain="demo",
    sellers=tuple(Seller(id=s, name=f"Продавец {s}", group=str(n % 5), group_name=f"Отдел {n % 5}")
                  for n, s in enumerate(SELLERS)),
    pipelines=tuple(Pipeline(id=p, name=f"Воронка {p}", main=p == "31", stages=world.STAGES)
                    for p in PIPELINES),
    loss_reasons=(LossReason(id="1", name="Дорого"), LossReason(id="2", name="Спам")),
)  # fmt: skip
_HOUR, _DAY = 3_600, 86_400
# part, dated at, whose deals (draw, from, below; of 1000), value, age, slot, currency, sign of key
_PARTS = (
    ("deals_created", "born", "u", 0, 1000, "1", "0", "", "", "born"),
    ("deals_open", "born", "u", 0, 1000, "1", "0", "", "", "+"),
    ("deals_open", "closed", "u", 0, 1000, "-1", "0", "", "", "-"),
    ("inquiries", "born", "w", 0, 250, "1", "0", "", "", "inquiry"),
    ("response", "born", "w", 0, 220, "reply / 3", "reply", "-", "", "answer"),
    ("response_due", "born", "w", 0, 250, "1", "1800", "-", "", "due"),
    ("response_in_norm", "born", "w", 0, 130, "1", "reply", "", "", "due"),
    ("inquiry_qualified", "born", "w", 0, 120, "1", "86400", "", "", "qualified"),
    ("deals_won", "closed", "u", 0, 150, "1", "0", "", "", ""),
    ("won_with_amount", "closed", "u", 0, 150, "1", "0", "", "RUB", ""),
    ("receipts", "closed", "u", 0, 150, "amount", "0", "", "RUB", ""),
    ("check_value", "closed", "u", 0, 150, "amount", "0", "-", "RUB", "win"),
    ("cycle", "closed", "u", 0, 150, "closed - born", "0", "-", "", "win"),
    ("cohort_won", "born", "u", 0, 150, "1", "closed - born", "", "", "won"),
    ("deals_lost", "closed", "u", 150, 1000, "1", "0", "", "", ""),
    ("lost_target", "closed", "u", 150, 450, "1", "0", "", "", ""),
    ("cohort_lost", "born", "u", 150, 250, "1", "closed - born", "", "", "lost"),
    ("calls", "replied", "w", 600, 800, "1", "0", "", "", "call"),
    ("calls_out", "replied", "w", 600, 720, "1", "0", "", "", "call"),
    ("calls_answered", "replied", "w", 600, 700, "1", "0", "", "", "call"),
    ("talk_seconds", "replied", "w", 600, 700, "reply % 900", "0", "", "", "call"),
    ("tasks_set", "replied", "w", 200, 400, "1", "0", "", "", "set"),
    ("tasks_due", "due", "w", 200, 400, "1", "0", "", "", "due"),
    ("tasks_due_done", "due", "w", 200, 350, "1", "0", "", "", "due"),
    ("tasks_done", "due", "w", 200, 380, "1", "0", "", "", "done"),
    ("tasks_overdue", "due", "w", 350, 400, "1", "0", "", "", "+"),
    ("time_in_stage", "due", "w", 0, 300, "due - born", "0", "-", "", "left"),
    ("stage_open", "lately", "u", 0, 1000, "1", "0", "-", "", "+"),
    ("stage_open", "left_at", "u", 0, 1000, "-1", "0", "-", "", "-"),
    ("pipeline_value", "born", "u", 0, 1000, "amount", "0", "", "RUB", "+"),
    ("pipeline_value", "closed", "u", 0, 1000, "-amount", "0", "", "RUB", "-"),
    ("stay", "closed", "u", 0, 1000, "closed - born", "closed - born", "-", "", "stay"),
    ("stay_open", "standing", "u", 0, 1000, "0", "0", "-", "", "stay"),
)  # fmt: skip
_STAY = " ".join(
    f"WHEN closed - born <= {most} THEN '{part}'" for part, most in STAYS.items() if most
)
_RULES = (
    ("deal-no-task", "warning", 500, 600, "born", "due"),
    ("deal-stuck", "warning", 600, 700, "due", "closed"),
    ("task-overdue", "critical", 350, 400, "due", "closed"),
)


MEMORY = (
    "shared_buffers=2GB", "work_mem=64MB", "maintenance_work_mem=1GB", "effective_cache_size=8GB",
    "random_page_cost=1.1", "max_wal_size=16GB", "wal_level=minimal", "max_wal_senders=0",
)  # fmt: skip
"""A PostgreSQL of 16 GB on an SSD; nobody else reads its log, so it fills sooner."""
_PROOF = (
    '{"attributes":{"deal.created_at":1724521200,"deal.first_talk_at":null,"deal.is_open":true},'
    '"for":"30wm","text":{"name":"Окна, ул. Мира 106"}}'
)


def fill(url: str, deals: int) -> int:
    """Make it in a prepared database; how many contributions there are."""
    engine = open_engine(url)
    with transaction(engine) as connection:
        _draw(connection, deals)
        for name, made in (
            ("deal", _DEALS), ("task", _TASKS), ("violation", _violations()),
            ("contribution", _contributions()),
        ):  # fmt: skip
            with _bare(connection, name):
                _say(connection, made)
        connection.execute(text("DROP TABLE drawn"))
        connection.execute(text("DROP TABLE civil"))
    with transaction(engine) as connection:
        rollups.rebuild(connection, world.ACCOUNT)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            text("ANALYZE" if is_sqlite(engine) else "VACUUM (ANALYZE)")
        )
    with engine.connect() as connection:
        stored = connection.scalar(text("SELECT count(*) FROM contribution"))
    engine.dispose()
    return int(stored)


@contextmanager
def _bare(connection: Connection, name: str) -> Iterator[None]:
    """A table without indexes meanwhile (PostgreSQL; nothing of it goes to the log then)."""
    if is_sqlite(connection):
        yield
        return
    connection.execute(text(f"TRUNCATE {name}"))
    made = connection.execute(
        text("SELECT indexdef FROM pg_indexes WHERE tablename = :t AND indexname NOT LIKE 'pk_%' "
             "AND indexname NOT LIKE '%_pkey'"), {"t": name}
    ).scalars().all()  # fmt: skip
    key, columns = connection.execute(
        text("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
             "WHERE conrelid = to_regclass(:t) AND contype = 'p'"), {"t": name}
    ).one()  # fmt: skip
    connection.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT {key}"))
    for index in made:
        connection.execute(text(f"DROP INDEX {index.split()[2 + index.startswith('CREATE U')]}"))
    yield
    connection.execute(text(f"ALTER TABLE {name} ADD CONSTRAINT {key} {columns}"))
    for index in made:
        connection.execute(text(index))


def _say(connection: Connection, statement: str) -> None:
    """Run a statement as it stands (its colons and per cents are no marks)."""
    doubled = statement if is_sqlite(connection) else statement.replace("%", "%%")
    connection.exec_driver_sql(doubled)


def _draw(connection: Connection, deals: int) -> None:
    """`drawn`: one row for each deal; `civil`: local days by their number."""
    begin, end = world.moment(f"{FIRST} 00:00"), world.moment(NOW)
    lately = world.moment(f"{KNOWN} 00:00")
    calendar = make_calendar(world.MOSCOW)
    days = [
        {"n": (world.moment(f"{on} 12:00") + 3 * _HOUR) // _DAY, "d": int(f"{on:%Y%m%d}"),
         "worked": calendar.day_seconds(on)}
        for on in (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 61))
    ]  # fmt: skip
    columns = "n bigint PRIMARY KEY, d integer, worked integer, earlier integer, of_month integer"
    connection.execute(text(f"CREATE TABLE civil ({columns})"))
    told = text("INSERT INTO civil VALUES (:n, :d, :worked, :earlier, :of_month)")
    connection.execute(told, list(_added_up(days)))
    count = "generate_series(0, :deals - 1) AS s(n)"
    if is_sqlite(connection):
        count = ("(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s "
                 "WHERE n < :deals - 1) SELECT n FROM s)")  # fmt: skip
    sellers = " ".join(f"WHEN {n} THEN '{s}'" for n, s in enumerate(SELLERS))
    # of 1024 draws the square gives the first sellers more than the last
    made = f"""CREATE TABLE drawn AS
        SELECT id, u, w, pipeline, source, amount, reply, seller, born, born + reply AS replied,
            born + 86400 + reply % 200000 AS due,
            CASE WHEN u < 985 AND born + life <= {end} THEN born + life END AS closed,
            CASE WHEN u >= 985 OR born + life > {end} THEN born END AS standing,
            CASE WHEN born >= {lately} THEN born END AS lately,
            CASE WHEN born >= {lately} AND u < 985 AND born + life <= {end}
                THEN born + life END AS left_at
        FROM (SELECT CAST({FIRST_DEAL} + n AS text) AS id, n * 7919 % 1000 AS u,
                n * 104729 % 997 * 1000 / 997 AS w,
                CASE n * 31 % 10 WHEN 0 THEN '34' WHEN 1 THEN '33' WHEN 2 THEN '33'
                    WHEN 3 THEN '32' WHEN 4 THEN '32' WHEN 5 THEN '32' ELSE '31' END AS pipeline,
                CASE n * 17 % 5 WHEN 0 THEN '' WHEN 1 THEN 'site' WHEN 2 THEN 'call'
                    WHEN 3 THEN 'partner' ELSE 'exhibition' END AS source,
                (1000 + n * 7753 % 90007) * 100 AS amount,
                60 + n * 2957 % 3001 * (n * 523 % 101) / 10 AS reply,
                259200 + n * 15485863 % 5184011 AS life,
                CASE (n * 611953 % 1024) * (n * 611953 % 1024) * {len(SELLERS)} / 1048576
                    {sellers} END AS seller,
                {begin} + CAST(n AS bigint) * {end - begin - 400} / {deals} AS born
            FROM (SELECT CAST(n AS bigint) AS n FROM {count}) AS numbers) AS draws"""
    connection.execute(text(made), {"deals": deals})
    if not is_sqlite(connection):
        connection.execute(text("ANALYZE drawn"))


def _added_up(days: Sequence[dict[str, int]]) -> Iterator[dict[str, int]]:
    """With what was worked of the month before each day, and before that month."""
    earlier = of_month = 0
    for day in days:
        if day["d"] % 100 == 1:
            earlier, of_month = earlier + of_month, 0
        yield {**day, "earlier": earlier, "of_month": of_month}
        of_month += day["worked"]


_DEALS = f"""INSERT INTO deal (account_id, id, name, pipeline, stage, status, seller, source,
        amount, currency, born_at, created_at, updated_at, stage_since, closed_at, loss_reason,
        open_tasks, next_task_at, last_touch_at, has_contact, deleted, revision, presence, wins)
    SELECT '{world.ACCOUNT}', id, 'Окна, ул. Мира, ' || id, pipeline,
        CASE WHEN closed IS NULL THEN '20' WHEN u < 150 THEN '142' ELSE '143' END,
        CASE WHEN closed IS NULL THEN 'open' WHEN u < 150 THEN 'won' ELSE 'lost' END,
        seller, NULLIF(source, ''), amount, 'RUB', born, born, COALESCE(closed, replied), due,
        closed, CASE WHEN closed IS NOT NULL AND u >= 150 THEN '1' END, 0, NULL, replied,
        true, false, 1, '[]', NULL FROM drawn"""

_TASKS = f"""INSERT INTO task (account_id, id, timeline, deal, seller, task_kind, title, is_open,
        is_all_day, due_at, created_at, done_at, updated_at, has_result, moves, revision)
    SELECT '{world.ACCOUNT}', id || '1', 'deal:' || id, id, seller, '1', 'Перезвонить по КП',
        w >= 380, false, due, replied, CASE WHEN w < 380 THEN due END, due, false, 0, 1
    FROM drawn WHERE w >= 200 AND w < 400"""


def _chosen(columns: str, rows: Sequence[tuple[Any, ...]]) -> str:
    """Rows of the program as a table `p`."""
    told = " UNION ALL ".join(
        "SELECT " + ", ".join(f"{v!r} AS {c}" for v, c in zip(row, columns.split(), strict=True))
        for row in rows
    )
    return f"({told}) AS p"


def _by_name(expressions: Sequence[str], column: str) -> str:
    """One of several expressions, by its text in a column of `p`."""
    ways = " ".join(f"WHEN '{one}' THEN {one}" for one in dict.fromkeys(expressions))
    return f"CASE p.{column} {ways} END"


def _worked(at: str, day: str) -> str:
    """What of its local month was worked by then: `civil` tells days of 10:00 to 18:00 from others.

    No holiday is shortened; three hours before the local midnight a day begins in Greenwich.
    """
    late = f"({at} + {3 * _HOUR}) % {_DAY} - {10 * _HOUR}"
    return (
        f"{day}.of_month + "
        f"CASE WHEN {late} < 0 THEN 0 WHEN {late} > {day}.worked THEN {day}.worked ELSE {late} END"
    )


def _contributions() -> str:
    """All parts deal by deal, as the pipeline writes them: part by part would flatter."""
    parts = _chosen("metric whence draw low high worth old slot currency mark", _PARTS)
    at = _by_name([row[1] for row in _PARTS], "whence")
    value = _by_name([row[5] for row in _PARTS], "worth")
    age = _by_name([row[6] for row in _PARTS], "old")
    return f"""INSERT INTO contribution (account_id, timeline, metric, subject_kind,
            subject_id, key, at, day, seller, pipeline, stage, source, value, currency, slot,
            reason, age)
        SELECT '{world.ACCOUNT}', 'deal:' || id, metric,
            CASE WHEN metric LIKE 'tasks%' THEN 'task' ELSE 'deal' END,
            CASE WHEN metric LIKE 'tasks%' THEN id || '1' ELSE id END,
            CASE WHEN mark IN ('', '+', '-') THEN CAST(at AS text) || mark ELSE mark END,
            at, civil.d, seller, pipeline, '20', source, value, currency, slot,
            CASE WHEN metric = 'deals_lost' THEN '1' ELSE '' END,
            CASE WHEN metric IN ('deals_open', 'tasks_overdue') THEN {_worked("at", "civil")}
                ELSE age END
        FROM (SELECT id, seller, pipeline, source, p.mark, p.currency, p.slot,
                CASE WHEN p.metric = 'stay' THEN CASE {_STAY} END ELSE p.metric END AS metric,
                {at} AS at, {value} AS value, {age} AS age
            FROM drawn CROSS JOIN {parts}
            WHERE CASE p.draw WHEN 'u' THEN u ELSE w END >= p.low
                AND CASE p.draw WHEN 'u' THEN u ELSE w END < p.high) AS made
        JOIN civil ON civil.n = (at + {3 * _HOUR}) / {_DAY}
        WHERE at <= {world.moment(NOW)} AND value IS NOT NULL AND age IS NOT NULL"""


def _violations() -> str:
    rules = _chosen("rule severity low high begin stop", _RULES)
    begin = _by_name([row[4] for row in _RULES], "begin")
    stop = _by_name([row[5] for row in _RULES], "stop")
    return f"""INSERT INTO violation (account_id, id, timeline, rule, rule_version,
            severity, notice, subject_kind, subject_id, deal, pipeline, stage, seller, owner,
            amount, currency, since, held_since, effective_from, breach_at, resolved_at,
            resolution, "values", muted, due_at, revision, breach_day, breach_worked,
            resolved_day, resolved_worked, resolved_after)
        SELECT '{world.ACCOUNT}', 'vio_' || p.rule || id, 'deal:' || id, p.rule, '8fd546f487',
            p.severity, false, 'deal', id, id, pipeline, '20', seller, seller, amount, 'RUB',
            born, born, 0, {begin}, {stop}, CASE WHEN {stop} IS NULL THEN NULL ELSE 'fixed' END,
            '{_PROOF}', '[]', NULL, 1, begun.d, {_worked(begin, "begun")}, COALESCE(ended.d, 0),
            CASE WHEN {stop} IS NULL THEN 0 ELSE {_worked(stop, "ended")} END,
            CASE WHEN {stop} IS NULL THEN 0 ELSE ended.earlier - begun.earlier
                + {_worked(stop, "ended")} - ({_worked(begin, "begun")}) END
        FROM drawn CROSS JOIN {rules}
        JOIN civil AS begun ON begun.n = ({begin} + {3 * _HOUR}) / {_DAY}
        LEFT JOIN civil AS ended ON ended.n = ({stop} + {3 * _HOUR}) / {_DAY}
        WHERE w >= p.low AND w < p.high AND ({stop} IS NULL OR {stop} > {begin})"""
