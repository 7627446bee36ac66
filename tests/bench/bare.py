"""The yardstick of `tests.bench.annotate`: one route, one indexed query, over the same engine and server."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from sqlalchemy import text

from app import database

ASKED = text("SELECT rendered FROM prompts WHERE id = :id")

app = FastAPI()


@app.get("/health")
async def health() -> str:
    return "ok"


@app.get("/prompt/{number}")
async def prompt(number: int, session: database.Session) -> PlainTextResponse:
    return PlainTextResponse((await session.execute(ASKED, {"id": number})).scalar_one()[0])
