"""Examples of the OpenAPI document: one for each operation that takes a body or needs a query.

Tests run every one of them against a small department; operations that are not named here run with
their path alone.
"""

from typing import Any, NamedTuple


class Example(NamedTuple):
    """What is sent: query parameters, a body (JSON, or a text of the operation's first type)."""

    query: dict[str, str]
    body: Any = None


def _body(**members: Any) -> Example:
    return Example({}, members)


_PLANS = {"account": "romashka", "period": "2026-12"}
_RULES = """rules:
  - id: deal-no-task
    on: deal
    form: state
    when: deal.is_open && deal.open_tasks == 0
    for: 2wh
    severity: critical
    title: {ru: "Нет следующего шага", en: "No next step"}
    advice: {ru: "Поставьте задачу", en: "Set a task"}
"""
_SPAN = {"from": "2026-11-01", "to": "2026-11-30"}
EXAMPLES: dict[str, Example] = {
    "funnel": Example({"pipeline": "romashka.31", **_SPAN}),
    "hygiene_index": Example(_SPAN),
    "propose_norm": Example({"account": "romashka"}),
    "plan_fact": Example({"period": "2026-11"}),
    "plan_fact_gap": Example({"period": "2026-11"}),
    "query_by_address": Example({"metrics": "deals_won,receipts", "grain": "month", **_SPAN}),
    "query_by_body": _body(
        metrics=["deals_won", "receipts"], dimensions=["seller"], grain="month", **_SPAN
    ),
    "list_subjects": Example(_SPAN),
    "list_changes": Example({"types": "deal,task", "limit": "100"}),
    "summarize_violations": Example({"by": "rule,seller"}),
    "put_plans": _body(
        status="draft",
        rows=[
            {
                "account": "romashka", "metric": "receipts", "period": "2026-12",
                "seller": "romashka.7", "value": 60_000_000, "currency": "RUB",
            },
        ],
    ),
    "decompose": _body(
        **_PLANS, metric="deals_won", value=100, by=["seller"], weights="hours", save=False
    ),
    "backwards": _body(
        **_PLANS, goal=100_000_000, average_check=5_000_000, conversion=0.25, lead_to_deal=0.5
    ),
    "approve_plans": _body(**_PLANS),
    "close_plans": _body(**_PLANS),
    "reopen_plans": _body(**_PLANS, reason="Новая цель отдела"),
    "import_plans": Example(
        {"dry_run": "true"},
        "Показатель;Период;Менеджер;План\nПоступления;01.12.2026;Иванов;600000\n",
    ),
    "create_absence": _body(
        account="romashka", seller="romashka.7", to="2026-12-30", kind="vacation",
        **{"from": "2026-12-21"},
    ),
    "create_mute": _body(
        account="romashka", seller="romashka.9", until="2026-12-24T06:00:00Z", reason="Обучение"
    ),
    "create": _body(
        url="https://93.184.216.34/dozor", events=["violation.opened", "plan.approved"]
    ),
    "change": _body(events=["violation.opened"]),
    "acknowledge_violation": _body(comment="Разбираюсь"),
    "acknowledge": _body(comment="Разбираюсь"),
    "mute_violation": _body(until="2026-11-24T06:00:00Z", reason="Клиент в отпуске"),
    "comment_violation": _body(text="Клиент просил перезвонить в пятницу"),
    "dispute_violation": _body(reason="Задачу поставили уже просроченной"),
    "decide_appeal": _body(granted=True, comment="Согласен"),
    "put_settings": Example({}, {"limits": {"open_deals": 50}}),
    "put_rules": Example({"account": "romashka"}, _RULES),
    "rule_file": Example({"account": "romashka"}),
    "rule_versions": Example({"account": "romashka"}),
    "rollback_rules": _body(account="romashka", version=1, reason="Было лучше"),
    "try_rules": Example({"account": "romashka"}, _RULES),
    "validate_rules": Example({}, _RULES),
}  # fmt: skip


def add_examples(operation: dict[str, Any]) -> None:
    """Put the example of an operation into the document."""
    example = EXAMPLES.get(operation.get("operationId", ""))
    if example is None:
        return
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["name"] in example.query:
            value: Any = example.query[parameter["name"]]
            kind = parameter["schema"].get("type")
            if kind == "array":
                value = value.split(",")
            elif kind == "integer":
                value = int(value)
            elif kind == "boolean":
                value = value == "true"
            parameter["example"] = value
    content = operation.get("requestBody", {}).get("content", {})
    for kind, media in content.items():
        is_json = kind == "application/json"
        if example.body is not None and is_json == (not isinstance(example.body, str)):
            media["example"] = example.body
