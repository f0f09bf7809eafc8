// What pgx sees in a session, as JSON lines. Arguments: URL [WEBHOOK-URL STATEMENTS]. With the address of a webhook and a file
// of statements (one a line, with its values behind tabs), statements of walhook's are run too; their steps begin with "ours".
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

const types = `select 1::int2 as i2, 2147483647 as i4, 9223372036854775807 as i8, 1.5::float4 as f4, 12345.678900::numeric as n,
  true as b, 'tëxt' as t, '\x00ff'::bytea as by, '2025-01-02'::date as d, '2025-01-02 03:04:05.678901'::timestamp as ts,
  '1 day 02:03:04'::interval as iv, '{"a": 1}'::jsonb as j, 'd0f5c07a-0000-4000-8000-000000000001'::uuid as u,
  array[1, 2, 3] as ai, '[1,10)'::int4range as r, '10.0.0.0/8'::cidr as c, null as nothing, $1::int + 1 as parameter`

var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement,
	pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec,
	pgx.QueryExecModeSimpleProtocol,
}

var ctx = context.Background()

func say(step string, value ...any) {
	line, err := json.Marshal(map[string]any{"step": step, "value": value})
	must(err)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// errorOf is what the server said; a success is a panic.
func errorOf(err error) []any {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		panic(fmt.Sprint("not the server's error: ", err))
	}
	return []any{pg.Code, pg.Message, pg.Position, pg.Hint, pg.ConstraintName}
}

func connect(url string, mode pgx.QueryExecMode) *pgx.Conn {
	config, err := pgx.ParseConfig(url)
	must(err)
	config.DefaultQueryExecMode = mode
	// By default a context that ends closes the connection; this sends a cancel request.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 20 * time.Second}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return conn
}

func exec(conn *pgx.Conn, sql string, args ...any) string {
	tag, err := conn.Exec(ctx, sql, args...)
	must(err)
	return tag.String()
}

func execError(conn *pgx.Conn, sql string) []any {
	_, err := conn.Exec(ctx, sql)
	return errorOf(err)
}

// rows are the values of all rows, by the names of their columns.
func rows(result pgx.Rows, err error) []map[string]any {
	must(err)
	all, err := pgx.CollectRows(result, pgx.RowToMap)
	must(err)
	return all
}

func queries(conn *pgx.Conn, mode pgx.QueryExecMode) {
	for i := range 3 {
		say("types", fmt.Sprint(rows(conn.Query(ctx, types, i))))
	}
	result, err := conn.Query(ctx, "select id, name, amount from people")
	must(err)
	for _, field := range result.FieldDescriptions() {
		say("column", field.Name, field.DataTypeOID, field.Format)
	}
	result.Close()
	batch := &pgx.Batch{}
	for i := range 200 {
		batch.Queue("insert into people (id, name, amount) values ($1, $2, $3)", i, fmt.Sprint("näme ", i), float64(i)/4)
	}
	batch.Queue("select count(*)::int as n from people")
	results := conn.SendBatch(ctx, batch)
	for range 200 {
		_, err := results.Exec()
		must(err)
	}
	say("batch", rows(results.Query()))
	must(results.Close())
	broken := &pgx.Batch{}
	broken.Queue("insert into people (id) values (1000)")
	broken.Queue("insert into people (id) values (7)")
	broken.Queue("select 1")
	say("batch fails", errorOf(conn.SendBatch(ctx, broken).Close()), rows(conn.Query(ctx, "select count(*)::int as n from people")))
	for _, sql := range []string{"select bogus", "selec 1", "insert into people (id) values (1)", "select 1/0"} {
		say("error", execError(conn, sql))
	}
	if mode == pgx.QueryExecModeSimpleProtocol {
		return
	}
	_, err = conn.Prepare(ctx, "named", "select name from people where id = $1")
	must(err)
	say("prepared", rows(conn.Query(ctx, "named", 3)))
	must(conn.Deallocate(ctx, "named"))
	say("deallocated", errorOf(conn.QueryRow(ctx, "execute named(1)").Scan()))
}

func transactions(conn *pgx.Conn) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable})
	must(err)
	_, err = tx.Exec(ctx, "insert into people (id) values (2000)")
	must(err)
	nested, err := tx.Begin(ctx)
	must(err)
	_, err = nested.Exec(ctx, "select 1/0")
	say("in the block", errorOf(err), string(conn.PgConn().TxStatus()))
	must(nested.Rollback(ctx))
	say("savepoint", string(conn.PgConn().TxStatus()))
	must(tx.Commit(ctx))
	say("after", string(conn.PgConn().TxStatus()), rows(conn.Query(ctx, "select id from people where id >= 2000")))
}

func copies(conn *pgx.Conn) {
	count, err := conn.CopyFrom(ctx, pgx.Identifier{"numbers"}, []string{"i", "t"}, pgx.CopyFromSlice(20000, func(i int) ([]any, error) {
		return []any{i, fmt.Sprint("line\t", i)}, nil
	}))
	must(err)
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(ctx, &out, "copy (select * from numbers order by i) to stdout")
	must(err)
	say("copy", count, tag.String(), out.Len())
	_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader("nonsense\n"), "copy numbers from stdin")
	say("copy fails", errorOf(err))
}

// pipeline sends everything before it reads anything, and asks for a suspended portal.
func pipeline(conn *pgx.Conn) {
	p := conn.PgConn().StartPipeline(ctx)
	for range 50 {
		p.SendQueryParams("select 1", nil, nil, nil, []int16{1})
	}
	p.SendPrepare("stays", "select $1::int", nil)
	p.SendQueryParams("select 1/0", nil, nil, nil, nil)
	p.SendQueryParams("select 2", nil, nil, nil, nil)
	must(p.Sync())
	p.SendQueryParams("select 3", nil, nil, nil, nil)
	must(p.Sync())
	seen := []any{}
	for syncs := 0; syncs < 2; {
		result, err := p.GetResults()
		switch result := result.(type) {
		case *pgconn.ResultReader:
			read := result.Read()
			if read.Err != nil {
				seen = append(seen, errorOf(read.Err))
			} else {
				seen = append(seen, read.Rows[0][0])
			}
		case *pgconn.PipelineSync:
			syncs++
		case nil:
			seen = append(seen, errorOf(err))
		}
	}
	must(p.Close())
	say("pipeline", seen)
}

func asynchronous(conn, other *pgx.Conn) {
	exec(conn, "listen news")
	exec(other, "notify news, 'one'")
	heard, err := conn.WaitForNotification(ctx)
	must(err)
	say("notified", heard.Channel, heard.Payload)
	cancellable, cancel := context.WithCancel(ctx)
	pid := conn.PgConn().PID()
	go func() {
		for len(rows(other.Query(ctx, "select 1 as one from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", pid))) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	_, err = conn.Exec(cancellable, "select pg_sleep(100)")
	say("cancelled", errorOf(err), rows(conn.Query(ctx, "select 1 as one")))
}

func ours(conn *pgx.Conn, webhook string) {
	say("ours: create", exec(conn, fmt.Sprintf("CREATE CHANGE DATA CAPTURE ON people TO WEBHOOK '%s'", webhook)))
	exec(conn, "insert into people (id, name) values ($1, 'delivered')", 3000)
	for range 2 {
		row := rows(conn.Query(ctx, "SHOW CDC STREAMS"))[0]
		say("ours: show", row["stream_name"], row["source"], row["destination"], row["status"], fmt.Sprintf("%T", row["lag_seconds"]))
	}
	batch := &pgx.Batch{}
	batch.Queue("select 1 as one")
	batch.Queue("SHOW CDC STREAM STATUS people_cdc_stream")
	batch.Queue("select 2 as two")
	results := conn.SendBatch(ctx, batch)
	say("ours: in a batch", rows(results.Query()), rows(results.Query())[0], rows(results.Query()))
	must(results.Close())
	say("ours: syntax", execError(conn, "ALTER CDC STREAM s PAUZE"), execError(conn, "ALTER CDC STREAM s PAUZE"))
	tx, err := conn.Begin(ctx)
	must(err)
	nested, err := tx.Begin(ctx)
	must(err)
	_, err = nested.Exec(ctx, "ALTER CDC STREAM s PAUZE")
	say("ours: in a block", errorOf(err), string(conn.PgConn().TxStatus()))
	must(nested.Rollback(ctx))
	must(tx.Rollback(ctx))
	say("ours: a parameter", exec(conn, "CREATE CDC STREAM bound ON people TO WEBHOOK $1", webhook))
	described, err := conn.PgConn().Prepare(ctx, "show", "SHOW CDC STREAMS", nil)
	must(err)
	binary := conn.PgConn().ExecPrepared(ctx, "show", nil, nil, []int16{1}).Read()
	must(binary.Err)
	say("ours: prepared, binary", described.Fields[0].Name, len(described.ParamOIDs), len(binary.Rows))
	must(conn.DeallocateAll(ctx))
	say("ours: drop", exec(conn, "DROP CDC STREAM people_cdc_stream, bound"))
	say("ours: gone", execError(conn, "SHOW CDC STREAM STATUS bound"))
}

// everyStatement says what came of each statement of the file.
func everyStatement(conn *pgx.Conn, file string) {
	text, err := os.ReadFile(file)
	must(err)
	outcomes := []any{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		parts := strings.Split(line, "\t")
		values := []any{}
		for _, value := range parts[1:] {
			values = append(values, value)
		}
		outcomes = append(outcomes, outcomeOf(conn, parts[0], values))
	}
	say("ours: every statement", outcomes...)
}

func outcomeOf(conn *pgx.Conn, sql string, values []any) string {
	result, err := conn.Query(ctx, sql, values...)
	if err != nil {
		return fmt.Sprint("error ", errorOf(err)[0])
	}
	names := []string{"rows"}
	for _, field := range result.FieldDescriptions() {
		names = append(names, field.Name)
	}
	for result.Next() {
		_, err := result.Values()
		must(err)
	}
	if result.Err() != nil {
		return fmt.Sprint("error ", errorOf(result.Err())[0])
	}
	if len(names) == 1 {
		return "done"
	}
	return strings.Join(names, " ")
}

func main() {
	for _, mode := range modes {
		say(mode.String())
		conn, other := connect(os.Args[1], mode), connect(os.Args[1], pgx.QueryExecModeCacheStatement)
		for _, sql := range []string{
			"drop table if exists people, numbers",
			"create table people (id int primary key, name text, amount numeric)",
			"create table numbers (i int, t text)",
		} {
			exec(conn, sql)
		}
		queries(conn, mode)
		transactions(conn)
		copies(conn)
		pipeline(conn)
		asynchronous(conn, other)
		if len(os.Args) > 3 {
			ours(conn, os.Args[2])
			everyStatement(conn, os.Args[3])
		}
		must(conn.Close(ctx))
		must(other.Close(ctx))
	}
}
