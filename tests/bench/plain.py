"""What the door is measured against, on the same server: nothing stored, and the naive way."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

import uvicorn
from fastapi import Depends, FastAPI, Request
from sqlmodel import Field, Session, SQLModel, create_engine


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """A plain ASGI application that reads the body and answers 200."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"0")]})  # fmt: skip
    await send({"type": "http.response.body", "body": b""})


class NaiveHook(SQLModel, table=True):
    """A hook, an object, a commit."""

    __tablename__ = "naive_hook"
    id: int | None = Field(default=None, primary_key=True)
    account_id: str
    received_at: datetime
    body: str


def naive(url: str) -> FastAPI:
    """A FastAPI form route with one ORM session and one commit a request."""
    engine = create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"check_same_thread": False} if url.startswith("sqlite") else {},
        pool_size=40,
    )
    if url.startswith("sqlite"):
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA synchronous=FULL")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        SQLModel.metadata.tables["naive_hook"].create(engine, checkfirst=True)
        yield

    app = FastAPI(lifespan=lifespan)

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    async def form(request: Request) -> dict[str, Any]:
        return dict(parse_qsl((await request.body()).decode()))

    @app.post("/hooks/amocrm/{token}")
    def receive(
        token: str,
        fields: Annotated[dict[str, Any], Depends(form)],
        database: Annotated[Session, Depends(session)],
    ) -> dict[str, bool]:
        database.add(
            NaiveHook(account_id=token[:8], received_at=datetime.now(UTC), body=repr(fields))
        )
        database.commit()
        return {"ok": True}

    return app


def main() -> None:
    """`plain.py nothing|naive PORT [URL]`: serve until killed."""
    kind, port, *rest = sys.argv[1:]
    os.sched_setaffinity(0, {0})
    app: Any = nothing if kind == "nothing" else naive(rest[0])
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", log_level="error",
        access_log=False, lifespan="off" if kind == "nothing" else "on",
    )  # fmt: skip


if __name__ == "__main__":
    main()
