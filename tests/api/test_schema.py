"""The OpenAPI document is true: each example and each answer fits its schema, nothing is 5xx."""

import re
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from service.api import openapi
from service.kpi.tables import TABLES
from tests.api.conftest import Api
from tests.api.test_conventions import PATHS

SAME = {  # the same parameters as the table's CSV; one table of each is enough
    f"/v1/exports/{name}.{ending}"
    for name in TABLES
    for ending in ("ndjson", "xlsx", "parquet")
    if name != "deals"
}


def fits(schema: dict[str, Any], wanted: dict[str, Any], value: Any) -> None:
    """Check a value against a schema of the document."""
    whole = {"$ref": "#/wanted", "wanted": wanted, "components": schema["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(value)


def answer_fits(schema: dict[str, Any], operation: dict[str, Any], answer: Any) -> None:
    """Check an answer against what its operation says."""
    response = operation["responses"].get(str(answer.status_code))
    assert response is not None, (operation["operationId"], answer.status_code)
    kind = answer.headers.get("content-type", "")
    media = response.get("content", {}).get(kind)
    if media is not None and "json" in kind:
        fits(schema, media["schema"], answer.text if "ndjson" in kind else answer.json())


def test_the_document_is_valid_and_its_examples_fit(api: Api) -> None:
    schema = openapi.build(api.app)
    schemathesis.openapi.from_dict(schema).validate()
    checked = 0
    for operations in schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    if "example" in media:
                        fits(schema, media["schema"], media["example"])
                        checked += 1
    assert checked > 50


def test_every_operation_stands_under_a_described_tag(api: Api) -> None:
    schema = openapi.build(api.app)
    used = {
        tag
        for operations in schema["paths"].values()
        for operation in operations.values()
        for tag in operation["tags"]
    }
    assert used == {tag["name"] for tag in schema["tags"]}


def test_every_answer_in_json_is_described(api: Api) -> None:
    """A schema that says something for each 2xx; without content only where there is no body."""
    bare = []
    for path, operations in openapi.build(api.app)["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                media = response.get("content", {}).get("application/json")
                if status.startswith("2") and media is not None and not media.get("schema"):
                    bare.append((operation["operationId"], path, status))
    assert bare == []


def test_a_page_has_only_the_fields_that_its_rows_have(api: Api) -> None:
    """Every list that takes `fields` knows them by its model."""
    client = api.client()
    for path, operations in openapi.build(api.app)["paths"].items():
        names = {one["name"] for one in operations.get("get", {}).get("parameters", ())}
        if "fields" in names:
            query = {"fields": "id,nope"} | ({"from": "2026-11-01", "to": "2026-11-30"}
                                             if path.endswith("subjects") else {})  # fmt: skip
            answer = client.get(path.format_map(PATHS), params=query)
            assert (answer.status_code, answer.json()["code"]) == (400, "unknown_name"), path


def test_every_answer_fits_its_schema(api: Api) -> None:
    schema = openapi.build(api.app)
    client = api.client()
    seen = set()
    client.post(f"/v1/violations/vio_{1:026d}/ack", json={"comment": "a"})
    client.post(
        f"/v1/violations/vio_{1:026d}/mute", json={"until": "2026-11-24T06:00:00Z", "reason": "b"}
    )
    for path, operations in schema["paths"].items():
        if "get" not in operations:
            continue
        answer = client.get(path.format_map(PATHS))
        answer_fits(schema, operations["get"], answer)
        if answer.status_code == 200:
            seen.add(path)
    assert {"/v1/violations", "/v1/violations/{violation_id}", "/v1/deals/{deal_id}"} <= seen


def test_refusals_fit_the_problem_schema(api: Api) -> None:
    schema = openapi.build(api.app)
    client = api.client()
    operations = schema["paths"]["/v1/violations"]["get"]
    for query, status in (({"x": "1"}, 400), ({"rule": "nope"}, 400)):
        answer = client.get("/v1/violations", params=query)
        assert answer.status_code == status
        answer_fits(schema, operations, answer)
    answer_fits(schema, operations, api.anonymous().get("/v1/violations"))


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_made_up_requests_never_fail_inside(api: Api, mode: GenerationMode) -> None:
    """Schemathesis over all operations: no 5xx, no undocumented status."""
    document = openapi.build(api.app)
    loaded = schemathesis.openapi.from_dict(document)
    headers = {"authorization": f"Bearer {api.key()}"}
    tried = 0
    for result in loaded.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        if operation.path.startswith("/hooks/") or operation.path in SAME:
            continue
        tried += _try_operation(api, document, operation, mode, headers)
    assert tried > 100


def _try_operation(
    api: Api, document: dict[str, Any], operation: Any, mode: GenerationMode, headers: Any
) -> int:
    tried = 0
    known = document["paths"][operation.path][operation.method]["responses"]

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case: Any) -> None:
        nonlocal tried
        tried += 1
        api.seconds.value += 61
        answer = case.call(base_url=api.url, headers=headers)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        outside = answer.status_code in (404, 405) and not re.fullmatch(
            operation.path.replace("{", "(?P<").replace("}", ">[^/]+)"), case.formatted_path
        )
        assert str(answer.status_code) in known or outside, (answer.status_code, known.keys())

    try:
        probe()
    except Unsatisfiable:
        assert tried == 0  # an operation without any input cannot be asked wrongly
    return tried
