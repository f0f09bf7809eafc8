"""What psycopg 3 sees in a session, as JSON lines. Usage: psycopg_session.py URL [WEBHOOK-URL STATEMENTS]

With the address of a webhook and a file of statements (one a line, with its values behind tabs), statements of walhook's are
run too; their steps begin with "ours".
"""

import json
import sys
import threading
import time
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

URL = sys.argv[1]
WEBHOOK, STATEMENTS = sys.argv[2:4] if len(sys.argv) > 2 else (None, None)

TYPES = """select 1::int2 as i2, 2147483647 as i4, 9223372036854775807 as i8, 1.5::float4 as f4, 'NaN'::float8 as f8,
  12345.678900::numeric as n, true as b, 'tëxt' as t, '\\x00ff'::bytea as by, '2025-01-02'::date as d,
  '12:34:56.789'::time as tm, '2025-01-02 03:04:05.678901'::timestamp as ts, '2025-01-02 03:04:05+05:45'::timestamptz as tz,
  '1 day 02:03:04'::interval as iv, '{"a": [1, null]}'::jsonb as j, 'd0f5c07a-0000-4000-8000-000000000001'::uuid as u,
  array[1, null, 3] as ai, array['a', 'b"c', null] as at, '[1,10)'::int4range as r, '10.0.0.0/8'::cidr as c, null as nothing"""


def say(step, value):
    print(json.dumps({"step": step, "value": value}, default=str, ensure_ascii=False), flush=True)


def error_of(run):
    """What the server said of the error, and the state of the transaction after it."""
    try:
        run()
    except psycopg.Error as error:
        d = error.diag
        return [type(error).__name__, d.sqlstate, d.message_primary, d.statement_position, d.message_hint, d.constraint_name]
    raise AssertionError("no error")


def columns(cursor):
    return [[column.name, column.type_code] for column in cursor.description]


def queries(conn):
    say("server", [conn.info.server_version, conn.info.encoding, conn.info.parameter_status("standard_conforming_strings")])
    for binary in (False, True):
        cursor = conn.cursor(binary=binary)
        say(f"types, binary {binary}", [repr(each) for each in cursor.execute(TYPES + ", %s::int as p", [7]).fetchone()])
        say("columns", columns(cursor))
    say("simple", conn.execute("select 1; select 2").nextset())
    insert = "insert into people (id, name, amount, doc) values (%s, %s, %s, %b) returning *"
    for i in range(8):
        row = conn.execute(insert, [i, f"name {i}", Decimal(i) / 7, Jsonb({"i": i})], prepare=i > 1).fetchone()
        say("prepared", row)
    cursor = conn.cursor()
    cursor.executemany("insert into people (id, name) values (%s, %s) returning id", [(i, "many") for i in range(100, 150)], returning=True)
    ids = [cursor.fetchone()[0]]
    while cursor.nextset():
        ids.append(cursor.fetchone()[0])
    say("executemany", ids)
    say("errors", [error_of(lambda sql=sql: conn.execute(sql)) for sql in ("select bogus", "selec 1", "insert into people values (1)", "select 1/0")])


def transactions(conn):
    with conn.transaction():
        conn.execute("insert into people (id) values (200)")
        try:
            with conn.transaction():
                conn.execute("insert into people (id) values (201)")
                conn.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            say("in the block", conn.info.transaction_status.name)
        conn.execute("insert into people (id) values (202)")
    say("savepoint", conn.execute("select id from people where id >= 200").fetchall())
    with conn.transaction(force_rollback=True):
        conn.execute("delete from people")
        failed = error_of(lambda: conn.execute("select nonsense"))
        say("failed", [failed, conn.info.transaction_status.name, error_of(lambda: conn.execute("select 1"))])
    say("after", [conn.info.transaction_status.name, conn.execute("select count(*) from people").fetchone()])


def pipelines(conn):
    with conn.pipeline() as pipeline:
        cursors = [conn.execute("select %s::int", [i]) for i in range(300)]
        pipeline.sync()
        say("pipeline", sum(cursor.fetchone()[0] for cursor in cursors))

    def broken():
        with conn.pipeline():
            conn.execute("select 1/0")
            conn.execute("select 1")

    say("pipeline with an error", error_of(broken))
    say("after it", conn.execute("select 1").fetchone())


def copies(conn):
    with conn.cursor() as cursor:
        with cursor.copy("copy numbers from stdin") as copy:
            for i in range(20000):
                copy.write_row((i, f"line\t{i}"))
        with cursor.copy("copy numbers from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            for i in range(20000, 30000):
                copy.write_row((i, None))
        with cursor.copy("copy (select * from numbers order by i) to stdout (format binary)") as copy:
            copy.set_types(["int4", "text"])
            say("copy out", sum(row[0] for row in copy.rows()))

        def broken():
            with conn.transaction(), cursor.copy("copy numbers from stdin") as copy:
                copy.write("1\tone\n")
                copy.write("nonsense\n")

        say("copy fails", error_of(broken))
    with conn.cursor("portal") as cursor:
        cursor.execute("select i from numbers order by i")
        say("cursor", [cursor.fetchmany(3), len(cursor.fetchmany(5000)), cursor.scroll(-10), cursor.fetchone()])
    with conn.cursor() as cursor:
        say("stream", sum(row[0] for row in cursor.stream("select i from numbers")))
    conn.rollback()


def asynchronous(conn, other):
    conn.execute("listen news")
    other.execute("select pg_notify('news', repeat('x', n)) from generate_series(1, 3) n")
    heard = []
    for notify in conn.notifies():
        heard.append([notify.channel, notify.payload])
        if len(heard) == 3:
            break
    say("notified", heard)
    pid = conn.info.backend_pid

    def cancel_when_asleep():
        while not other.execute("select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'", [pid]).fetchone():
            time.sleep(0.01)
        conn.cancel()

    thread = threading.Thread(target=cancel_when_asleep)
    thread.start()
    say("cancelled", error_of(lambda: conn.execute("select pg_sleep(100)")))
    thread.join()
    say("after it", conn.execute("select 1").fetchone())


def ours(conn):
    create = f"CREATE CHANGE DATA CAPTURE ON people TO WEBHOOK '{WEBHOOK}'"
    say("ours: create", conn.execute(create).statusmessage)
    conn.execute("insert into people (id, name) values (1000, 'delivered')")
    for binary in (False, True):
        for prepare in (False, True):
            cursor = conn.cursor(binary=binary, row_factory=dict_row)
            row = cursor.execute("SHOW CDC STREAMS", prepare=prepare).fetchone()
            say("ours: show", [row["stream_name"], row["source"], row["destination"], row["status"]])
            say("ours: types", [type(row["lag_seconds"]).__name__, type(row["stream_name"]).__name__])
    with conn.pipeline():
        cursors = [conn.execute(sql) for sql in ("select 1", "SHOW CDC STREAM STATUS people_cdc_stream", "select 2")]
        say("ours: in a pipeline", [cursor.fetchone() for cursor in cursors])
    say("ours: syntax", error_of(lambda: conn.execute("ALTER CDC STREAM s PAUZE")))
    say("ours: syntax, prepared", error_of(lambda: conn.execute("ALTER CDC STREAM s PAUZE", prepare=True)))
    with conn.transaction(force_rollback=True):
        conn.execute("insert into people (id) values (1001)")
        try:
            with conn.transaction():
                conn.execute("ALTER CDC STREAM s PAUZE")
        except psycopg.errors.SyntaxError:
            say("ours: at a savepoint", [conn.info.transaction_status.name, conn.execute("select max(id) from people").fetchone()])
    parameter = "CREATE CDC STREAM bound ON people TO WEBHOOK %s"
    say("ours: a parameter", conn.execute(parameter, [WEBHOOK]).statusmessage)
    say("ours: many in one", conn.execute("SELECT 1; SHOW CDC STREAMS").nextset())
    say("ours: drop", [conn.execute(f"DROP CDC STREAM {name}", prepare=True).statusmessage for name in ("people_cdc_stream", "bound")])
    say("ours: gone", error_of(lambda: conn.execute("SHOW CDC STREAM STATUS bound")))


def every_statement(conn, **how):
    outcomes = []
    for line in open(STATEMENTS, encoding="utf-8"):
        sql, *values = line.rstrip("\n").split("\t")
        for i in range(len(values)):
            sql = sql.replace(f"${i + 1}", "%s")
        try:
            cursor = conn.cursor(binary=how["binary"]).execute(sql, values or None, prepare=how["prepare"])
            names = [column.name for column in cursor.description or []]
            if names:
                cursor.fetchall()
            outcomes.append(" ".join(["rows", *names]) if names else "done")
        except psycopg.Error as error:
            outcomes.append(f"error {error.diag.sqlstate}")
    say("ours: every statement", outcomes)


with psycopg.connect(URL, autocommit=True, prepare_threshold=2) as conn, psycopg.connect(URL, autocommit=True) as other:
    conn.execute("drop table if exists people, numbers")
    conn.execute("create table people (id int primary key, name text, amount numeric, doc jsonb); create table numbers (i int, t text)")
    queries(conn)
    transactions(conn)
    pipelines(conn)
    asynchronous(conn, other)
    with psycopg.connect(URL) as in_block:
        copies(in_block)
    if WEBHOOK:
        ours(conn)
        for how in ({"binary": False, "prepare": False}, {"binary": True, "prepare": True}):
            every_statement(conn, **how)
