"""What asyncpg sees in a session, as JSON lines. Usage: asyncpg_session.py URL [WEBHOOK-URL STATEMENTS]

With the address of a webhook and a file of statements (one a line, with its values behind tabs), statements of walhook's are
run too; their steps begin with "ours".
"""

import asyncio
import datetime
import io
import json
import sys
from decimal import Decimal

import asyncpg

URL = sys.argv[1]
WEBHOOK, STATEMENTS = sys.argv[2:4] if len(sys.argv) > 2 else (None, None)

SCHEMA = """
  drop table if exists people, numbers; drop type if exists mood, pair; drop domain if exists posint;
  create type mood as enum ('sad', 'happy'); create type pair as (a int, m mood); create domain posint as int check (value > 0);
  create table people (id int primary key, name text, mood mood, pair pair, age posint, amount numeric, at timestamptz);
  create table numbers (i int, t text);
"""


def say(step, value):
    print(json.dumps({"step": step, "value": value}, default=str, ensure_ascii=False), flush=True)


async def error_of(awaitable):
    try:
        await awaitable
    except asyncpg.PostgresError as error:
        return [type(error).__name__, error.sqlstate, error.message, error.as_dict().get("position"), error.as_dict().get("hint")]
    raise AssertionError("no error")


def attributes(statement):
    return [[a.name, a.type.oid, a.type.name, a.type.kind] for a in statement.get_attributes()]


async def queries(conn):
    say("server", [conn.get_server_version(), conn.get_settings().client_encoding])
    insert = await conn.prepare("insert into people values ($1, $2, $3, $4, $5, $6, $7) returning *")
    say("parameters", [[p.oid if p.oid < 10000 else p.name, p.kind] for p in insert.get_parameters()])
    at = datetime.datetime(2025, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)
    for i in range(5):
        row = await insert.fetchrow(i, f"näme {i}", "happy", (i, "sad"), i + 1, Decimal(i) / 8, at)
        say("prepared", [repr(value) for value in row])
    types = "select array['sad']::mood[] as a, row(1, 'x') as r, '[1,3)'::int8range as g, '1 mon'::interval as v, '(1,2)'::point as p, b'101' as b, '{}'::json as j, 1::oid as o, null as n"
    say("types", repr(await conn.fetchrow(types)))
    statement = await conn.prepare("select id, name, at, amount from people")
    say("columns", attributes(statement))
    await conn.executemany("insert into people (id, name) values ($1, $2)", [(i, "many") for i in range(100, 600)])
    say("simple", [await conn.execute("select 1; update people set name = name where id < 3"), await conn.fetchval("select count(*) from people")])
    say("errors", [await error_of(conn.fetch(sql)) for sql in ("select bogus", "selec 1", "insert into people values (1)", "select 1/0", "insert into people (id, age) values (7, 0)")])
    say("schema change", [await conn.execute("alter table people add column extra int default 7"), repr(await conn.fetchrow("select * from people where id = 1"))])


async def transactions(conn):
    async with conn.transaction(isolation="serializable"):
        await conn.execute("insert into people (id) values (1000)")
        try:
            async with conn.transaction():
                await conn.execute("insert into people (id) values (1001)")
                await conn.fetch("select 1/0")
        except asyncpg.DivisionByZeroError:
            say("in the block", conn.is_in_transaction())
    say("savepoint", repr(await conn.fetch("select id from people where id >= 1000")))
    async with conn.transaction():
        cursor = await conn.cursor("select id from people order by id")
        say("cursor", [repr(await cursor.fetch(3)), await cursor.forward(10), repr(await cursor.fetchrow())])
        say("prefetch", sum([row["id"] async for row in conn.cursor("select id from people", prefetch=7)]))


async def copies(conn):
    say("copy in", await conn.copy_records_to_table("numbers", records=((i, f"line {i}") for i in range(30000))))
    say("copy csv", await conn.copy_to_table("numbers", source=io.BytesIO(b'1,"x,y"\n2,\n'), format="csv"))
    out = io.BytesIO()
    say("copy out", [await conn.copy_from_query("select * from numbers order by i limit $1", 20000, output=out), len(out.getvalue())])
    say("copy fails", await error_of(conn.copy_to_table("numbers", source=io.BytesIO(b"nonsense\n"))))


async def asynchronous(conn, other):
    heard = asyncio.Queue()
    await conn.add_listener("news", lambda _c, _pid, channel, payload: heard.put_nowait([channel, payload]))
    await other.execute("notify news, 'one'; notify news, 'two'")
    say("notified", [await heard.get(), await heard.get()])
    try:
        await conn.fetch("select pg_sleep(100)", timeout=0.2)
    except asyncio.TimeoutError:
        say("timeout", await conn.fetchval("select 1"))
    sleep = asyncio.ensure_future(error_of(conn.fetch("select pg_sleep(100)")))
    pid = conn.get_server_pid()
    while not await other.fetchval("select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", pid):
        await asyncio.sleep(0.01)
    await other.execute(f"select pg_cancel_backend({pid})")
    say("cancelled", await sleep)


async def ours(conn):
    say("ours: create", await conn.execute(f"CREATE CHANGE DATA CAPTURE ON people TO WEBHOOK '{WEBHOOK}'"))
    await conn.execute("insert into people (id, name) values ($1, 'delivered')", 2000)
    for _ in range(2):
        row = (await conn.fetch("SHOW CDC STREAMS"))[0]
        say("ours: show", [row["stream_name"], row["source"], row["destination"], row["status"]])
    statement = await conn.prepare("SHOW CDC STREAMS")
    say("ours: columns", attributes(statement)[:2])
    say("ours: prepared", (await statement.fetchrow())["stream_name"])
    async with conn.transaction():
        say("ours: cursor", [r["property"] async for r in conn.cursor("SHOW CDC STREAM STATUS people_cdc_stream", prefetch=2)][:3])
    say("ours: syntax", await error_of(conn.fetch("ALTER CDC STREAM s PAUZE")))
    say("ours: syntax, simple", await error_of(conn.execute("ALTER CDC STREAM s PAUZE")))
    say("ours: a parameter", await conn.execute("CREATE CDC STREAM bound ON people TO WEBHOOK $1", WEBHOOK))
    await conn.execute("DISCARD ALL")
    say("ours: reset", await conn.reset())
    say("ours: drop", [await conn.execute(f"DROP CDC STREAM {name}") for name in ("people_cdc_stream", "bound")])
    say("ours: gone", await error_of(conn.fetch("SHOW CDC STREAM STATUS bound")))


async def every_statement(conn):
    outcomes = []
    for line in open(STATEMENTS, encoding="utf-8"):
        sql, *values = line.rstrip("\n").split("\t")
        try:
            statement = await conn.prepare(sql)
            names = [attribute.name for attribute in statement.get_attributes()]
            await statement.fetch(*values)
            outcomes.append(" ".join(["rows", *names]) if names else "done")
        except asyncpg.PostgresError as error:
            outcomes.append(f"error {error.sqlstate}")
    say("ours: every statement", outcomes)


async def main():
    conn, other = await asyncpg.connect(URL), await asyncpg.connect(URL)
    await conn.execute(SCHEMA)
    await queries(conn)
    await transactions(conn)
    await copies(conn)
    await asynchronous(conn, other)
    if WEBHOOK:
        await ours(conn)
        await every_statement(conn)
    await conn.close()
    await other.close()


asyncio.run(main())
