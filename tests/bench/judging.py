"""Judging one changed deal: a timeline of 20 versions, all rules that are on."""

import gc
import random
import time

from service.domain.config import Config
from service.domain.facts import Fact, Kind
from service.domain.instant import FOREVER
from service.domain.named import parse_document
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.pipeline.derive import derive
from service.rules.book import Window
from service.rules.judge import judge
from service.rules.loading import load_book
from tests import world
from tests.bench.report import Line, median, under

DEALS = 300
DAY = 86_400
SETTINGS = {
    "pipelines": {"Продажи": {"required": {"КП": ["contact", "budget"], "Договор": ["ИНН"]}}}
}


def run(*, quick: bool) -> list[Line]:
    """Medians over many different deals, none of them seen before."""
    config = Config(
        world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", world.DIRECTORY, parse_document(SETTINGS)
    )
    windows = [Window(0, FOREVER, config, load_book().in_force(config))]
    meaning = world_of(config)
    gc.set_threshold(200_000, 20, 100)  # as the service sets it
    judged, whole = [], []
    for number in range(DEALS // (3 if quick else 1)):
        facts = timeline(number)
        story = fold(f"deal:{number}", facts, meaning)
        folded = time.perf_counter()
        judge(story, windows)
        done = time.perf_counter()
        judged.append((done - folded) * 1000)
        other = timeline(number + DEALS)
        begun = time.perf_counter()
        derive(fold(f"deal:{number + DEALS}", other, meaning), windows)
        whole.append((time.perf_counter() - begun) * 1000)
    rules = len([rule for rule in windows[0].rules if rule.model.form != "level"])
    return [
        under(
            f"judging a deal of 20 versions, {rules} rules, median", median(judged), 1.0, digits=3
        ),
        under("folding, judging and measuring it, median", median(whole), 1.5, digits=3),
    ]


def timeline(number: int) -> list[Fact]:
    """Twenty versions: the deal's own, two tasks', a call's, notes'."""
    chance = random.Random(number)
    at = world.moment("2026-01-12 10:00") + number * 977
    facts = [
        Fact(Kind.DEAL, str(number), at, {
            "name": f"Сделка {number}", "pipeline": "31", "stage": "10", "responsible": "7",
            "created_at": at, "created_by": "0", "author": "0", "amount": 0, "currency": "RUB",
            "fields": {}, "contacts": ["5"],
        }),
    ]  # fmt: skip
    for version in range(19):
        at += chance.randrange(600, 2 * DAY)
        kind = version % 5
        if kind == 0:
            stage = ("10", "20", "30", "20")[version // 5]
            facts.append(Fact(Kind.DEAL, str(number), at, {"stage": stage, "pipeline": "31",
                                                           "author": "7"}))  # fmt: skip
        elif kind == 1:
            body = {"deal": str(number), "text": "Перезвонить по КП", "task_kind": "1",
                    "responsible": "7", "created_at": at, "created_by": "7", "author": "7",
                    "is_open": True, "due_at": at + DAY}  # fmt: skip
            facts.append(Fact(Kind.TASK, f"{number}{version}", at, body))
        elif kind == 2:
            done = {"deal": str(number), "is_open": False, "author": "7"}
            facts.append(Fact(Kind.TASK, f"{number}{version - 1}", at, done))
        elif kind == 3:
            facts.append(Fact(Kind.DEAL, str(number), at, {"amount": chance.randrange(9_000_000)}))
        else:
            call = {"deal": str(number), "direction": "out", "answered": True, "seconds": 95,
                    "started_at": at - 95, "author": "7"}  # fmt: skip
            facts.append(Fact(Kind.CALL, f"{number}{version}", at, call))
    return facts
