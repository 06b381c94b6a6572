"""GET pipelines, loss reasons, custom fields of leads."""

from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, link, nothing, whole_list
from service.portal.amocrm.query import Ask
from service.portal.book import Pipeline, Stage
from service.portal.office import Office

_BORN = 1_582_117_280
_COLORS = {"incoming": "#c1c1c1", "open": "#99ccff", "won": "#CCFF66", "lost": "#D5D8DB"}


def pipelines(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/pipelines."""
    rows = sorted(office.book.pipelines.values(), key=lambda row: row.sort)
    return whole_list(office, ask, "pipelines", [_pipeline(office, row) for row in rows])


def pipeline(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/pipelines/{id}."""
    found = office.book.pipelines.get(ask.parts["id"])
    return nothing() if found is None else hal(_pipeline(office, found))


def statuses(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/pipelines/{id}/statuses."""
    found = office.book.pipelines.get(ask.parts["id"])
    if found is None:
        return nothing()
    rows = [_status(office, found, stage) for stage in found.stages]
    return whole_list(office, ask, "statuses", rows)


def _pipeline(office: Office, pipeline: Pipeline) -> Json:
    return {
        "id": int(pipeline.id),
        "name": pipeline.name,
        "sort": pipeline.sort,
        "is_main": pipeline.is_main,
        "is_unsorted_on": any(stage.kind == "incoming" for stage in pipeline.stages),
        "is_archive": False,
        "account_id": office.account_id,
        "_links": link(office, f"leads/pipelines/{pipeline.id}"),
        "_embedded": {"statuses": [_status(office, pipeline, row) for row in pipeline.stages]},
    }


def _status(office: Office, pipeline: Pipeline, stage: Stage) -> Json:
    return {
        "id": int(stage.id),
        "name": stage.name,
        "sort": stage.sort,
        "is_editable": stage.kind == "open",
        "pipeline_id": int(pipeline.id),
        "color": _COLORS[stage.kind],
        "type": 1 if stage.kind == "incoming" else 0,
        "account_id": office.account_id,
        "_links": link(office, f"leads/pipelines/{pipeline.id}/statuses/{stage.id}"),
    }


def loss_reason(office: Office, reason_id: int) -> Json:
    """A loss reason as lists and leads show it."""
    return {
        "id": reason_id,
        "name": office.book.loss_reasons[reason_id],
        "sort": reason_id,
        "created_at": _BORN,
        "updated_at": _BORN,
        "_links": link(office, f"leads/loss_reasons/{reason_id}"),
    }


def loss_reasons(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/loss_reasons."""
    rows = [loss_reason(office, number) for number in sorted(office.book.loss_reasons)]
    return whole_list(office, ask, "loss_reasons", rows) if rows else nothing()


def custom_fields(office: Office, ask: Ask) -> Response:
    """GET /api/v4/leads/custom_fields: all are text fields here."""
    rows = [_field(office, number) for number in sorted(office.book.field_names)]
    return whole_list(office, ask, "custom_fields", rows) if rows else nothing()


def _field(office: Office, field_id: int) -> Json:
    required = office.book.required.get(field_id, ())
    return {
        "id": field_id,
        "name": office.book.field_names[field_id],
        "type": "text",
        "account_id": office.account_id,
        "code": None,
        "sort": 500,
        "is_api_only": False,
        "enums": None,
        "group_id": None,
        "required_statuses": [
            {"status_id": int(stage_id), "pipeline_id": int(pipeline_id)}
            for pipeline_id, stage_id in required
        ],
        "is_deletable": True,
        "is_predefined": False,
        "is_visible": True,
        "hidden_statuses": [],
        "is_computed": False,
        "entity_type": "leads",
        "_links": link(office, f"leads/custom_fields/{field_id}"),
    }
