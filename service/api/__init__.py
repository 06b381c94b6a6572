'''The HTTP API. One page on how an endpoint is written (contract: api.md).

    router = Router(prefix="/v1", tags=["Deals and tasks"])
    DEALS = FilterSet(ids("account"), ids("seller"), choice("status", ("open", "won")),
                      number("amount"), instant("created_at"))

    @router.get("/deals", response_model=DealList, dependencies=[Depends(require("crm:read"))])
    def list_deals(
        call: CallDep,                                          # database, clock, language, caller
        page: PageDep,                                          # limit, cursor, count
        filters: Annotated[Filters, Depends(DEALS)],            # seller=a,b  amount[gte]=5 ...
        sort: SortParam = None,
    ) -> Response:
        """The first line is the summary in OpenAPI; say what is special below it."""
        walk = page.walk(call)                                  # walk.after, walk.as_of, walk.limit
        with call.read() as connection:                         # one snapshot
            fresh(call, connection)                             # ETag; stops here with 304
            rows = deals(connection, filters, after=walk.after, limit=walk.limit + 1)
        return walk.answer(rows, position=lambda row: [row.created_at, row.id], show=show_deal)

    @router.post("/things", status_code=201, response_model=Thing,
                 dependencies=[Depends(require("plans:write"))])
    def make_thing(call: CallDep, body: ThingBody) -> Response:     # ThingBody: extra="forbid"
        if not call.caller.sees(body.account):
            raise bad_body("#/account", "There is no account 'x'.")  # as for one never heard of
        with call.write() as connection: ...
        return json_answer(document, 201, {"location": f"/v1/things/{id}"})

What comes by itself: 401 and 403 before anything else; 413, 415, broken JSON, depth; unknown,
repeated and wrong parameters with `did_you_mean`; problems (`raise problem(code, sentence)`,
`raise not_found()`, `raise unknown_name(...)`); HEAD, OPTIONS, 405; request ids, rate limits, gzip;
`Idempotency-Key` on POST (mark a POST that changes nothing with `@safe`); a tag of the body on GETs
that do not call `fresh`; `If-Match` by `check_if_match(call.request, tag)`.

Dependencies on a scope: `dependencies=[Depends(require("kpi:read"))]`, or as an argument
`caller: Annotated[Caller, Depends(require("kpi:read"))]`. Endpoints that only compute are `async`,
those that ask the database are plain `def` (thread pool). Bodies that are not JSON: mark with
`@accepts("application/yaml")` and take `request: Request`, `await request.body()`.

Ids: `full_id(account, crm_id)`, `split_id(text)` in `service.api.names`; configurations of the
accounts a caller sees: `visible_configs(call, connection)` there. Parameter types: `params.py`.
Output models are closed and without defaults (`schemas.Wire`); they document, endpoints build the
answer with `json_answer` or return a dict.
'''
