"""Lines of text files are what a CSV writer and a JSON encoder make of the same rows."""

import csv
import io
import json
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.api.bi_values import csv_cell, plain, plain_rows, ru_cell
from service.api.export_cells import Csv, Json, RussianCsv
from service.store.bi.reader import Block
from service.store.bi.tables import Column

ZONES = {
    "romashka": ZoneInfo("Europe/Moscow"), "vasilek": ZoneInfo("Australia/Lord_Howe"),
    "liman": ZoneInfo("Africa/Monrovia"),
}  # fmt: skip
TEXTS = [
    None, "", "a", "Окна, ул. Мира", 'он сказал "да"', "a;b", "стр\r\nока", "=1+1", "+7", "-5", "@",
    "\tx", "\rx", "x\n", "a\0=b", "\0", "\x01\x7f", "\\", "_x000D_", " край ", "😀", "\u2028", '",',
]  # fmt: skip
MONEY = [None, 0, 1, -1, 99, -99, 100, -100, 12_345, -12_345, 10**15, 7]
CURRENCIES = ["RUB", None, "USD", "KWD", "JPY", "-", "XXX"]
DAYS = [None, 0, -1, 19_000, 20_500, -719_000]
FLAGS = [None, True, False, 0, 1]


def column(name: str, kind: Any, **more: Any) -> Column:
    return Column(name, kind, name, lambda _: None, **more)  # type: ignore[arg-type,return-value]


COLUMNS = [
    column("text", "String"), column("sum", "Decimal", scale=lambda _: None), column("n", "Int32"),
    column("flag", "Boolean"), column("day", "Date"), column("at", "DateTimeOffset"),
    column("page", "String", shown="deal"),
]  # fmt: skip
NAMES: Any = {
    name: SimpleNamespace(
        config=SimpleNamespace(timezone=zone),
        url=lambda _, one, name=name: f"https://{name}/{one}/?{one}" if name != "liman" else None,
    )
    for name, zone in ZONES.items()
}


def instants(chance: random.Random) -> int | None:
    around = chance.choice([0, -2_000_000_000, 63_593_070, 1_414_274_400, 1_790_000_000])
    return chance.choice([None, around, around + chance.randrange(-90_000, 90_000)])


def block(seed: int, *, currencies: list[str | None]) -> Block:
    chance = random.Random(seed)
    size = 200
    accounts = [chance.choice(list(ZONES)) for _ in range(size)]

    def some(values: Sequence[Any]) -> list[Any]:
        return [chance.choice(values) for _ in range(size)]

    return Block(accounts, {
        "text": some(TEXTS), "sum": some(MONEY), "sum:scale": some(currencies),
        "n": some([None, 0, -7, 2**31]), "flag": some(FLAGS), "day": some(DAYS),
        "at": [instants(chance) for _ in range(size)], "page": some([None, "", "17", "a,b"]),
    })  # fmt: skip


def written(rows: Any, mark: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=mark, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("columns", [COLUMNS, *([one] for one in COLUMNS)], ids=lambda c: c[0].name)
def test_csv_is_what_a_writer_makes_of_the_cells(columns: list[Column]) -> None:
    russian = RussianCsv(ZONES)
    for seed, currencies in enumerate([["RUB", None], list(CURRENCIES)] * 4):
        rows = block(seed, currencies=currencies)
        cells = [plain(one, rows, NAMES) for one in columns]
        plainly = zip(*([csv_cell(v) for v in values] for values in cells), strict=True)
        assert Csv().lines(columns, rows, NAMES) == written(plainly, ",")
        local = zip(*(
            [ru_cell(v, one.kind, ZONES[a]) for v, a in zip(values, rows.accounts, strict=True)]
            for one, values in zip(columns, cells, strict=True)
        ), strict=True)  # fmt: skip
        assert russian.lines(columns, rows, NAMES) == written(local, ";")


def test_texts_without_signs_need_no_quotes_and_get_none() -> None:
    rows = Block(["romashka"] * 2, {"text": ["a", None]})
    assert Csv().lines(COLUMNS[:1], rows, NAMES) == b'a\r\n""\r\n'
    assert Csv().lines([COLUMNS[0]] * 2, rows, NAMES) == b"a,a\r\n,\r\n"


def test_ndjson_is_the_rows() -> None:
    rows = block(1, currencies=list(CURRENCIES))
    lines = Json(COLUMNS).lines(COLUMNS, rows, NAMES).decode().split("\n")
    found = [json.loads(line, parse_float=str) for line in lines[:-1]]
    told = plain_rows(COLUMNS, rows, NAMES)
    assert [list(row) for row in found] == [list(row) for row in told]
    for row, expected in zip(found, told, strict=True):
        for name, value in expected.items():
            assert row[name] == value if name in {"text", "n", "flag", "at"} else (
                str(row[name]) == str(value)
            )  # fmt: skip
