import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/**
 * What pgjdbc sees in a session, as JSON lines. Arguments: URL [WEBHOOK-URL STATEMENTS]. With the address of a webhook and a
 * file of statements (one a line, with its values behind tabs), statements of walhook's are run too; their steps begin
 * with "ours".
 */
public class Session {
  private static final String TYPES =
      "select 1::int2 as i2, 2147483647 as i4, 9223372036854775807 as i8, 1.5::float4 as f4, 'NaN'::float8 as f8, "
          + "12345.678900::numeric as n, true as b, 'tëxt' as t, '\\x00ff'::bytea as by, '2025-01-02'::date as d, "
          + "'2025-01-02 03:04:05.678901'::timestamp as ts, '2025-01-02 03:04:05+05:45'::timestamptz as tz, "
          + "'1 day 02:03:04'::interval as iv, '{\"a\": 1}'::jsonb as j, 'd0f5c07a-0000-4000-8000-000000000001'::uuid as u, "
          + "array[1, null, 3] as ai, '(1,2)'::point as p, null as nothing, ? + 1 as parameter";

  private static String json(Object value) {
    if (value == null || value instanceof Number || value instanceof Boolean) return String.valueOf(value);
    if (value instanceof List<?> list) return "[" + String.join(",", list.stream().map(Session::json).toList()) + "]";
    StringBuilder out = new StringBuilder("\"");
    for (char c : value.toString().toCharArray()) {
      if (c < ' ' || c > '~' || c == '"' || c == '\\') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  private static void say(String step, Object... value) {
    System.out.println("{\"step\":" + json(step) + ",\"value\":" + json(java.util.Arrays.asList(value)) + "}");
  }

  private interface Run {
    void run() throws SQLException;
  }

  /** What the server said of the error; nothing where there was none. */
  private static List<Object> errorOf(Run run) {
    try {
      run.run();
    } catch (SQLException error) {
      while (error.getNextException() != null && !(error instanceof PSQLException)) error = error.getNextException();
      ServerErrorMessage server = error instanceof PSQLException pg ? pg.getServerErrorMessage() : null;
      if (server == null) return java.util.Arrays.asList(error.getSQLState(), error.getMessage());
      return java.util.Arrays.asList(error.getSQLState(), server.getMessage(), server.getPosition(), server.getHint(), server.getConstraint());
    }
    return List.of();
  }

  private static Connection connect(String url, String... settings) throws SQLException {
    java.net.URI uri = java.net.URI.create(url);
    String[] role = uri.getUserInfo().split(":");
    Properties properties = new Properties();
    properties.put("user", role[0]);
    properties.put("password", role[1]);
    for (int i = 0; i < settings.length; i += 2) properties.put(settings[i], settings[i + 1]);
    return DriverManager.getConnection("jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath(), properties);
  }

  /** Every row, every column as text, with the columns' names and types. */
  private static List<Object> rows(ResultSet result) throws SQLException {
    List<Object> all = new ArrayList<>();
    ResultSetMetaData meta = result.getMetaData();
    for (int i = 1; i <= meta.getColumnCount(); i++) all.add(meta.getColumnLabel(i) + " " + meta.getColumnTypeName(i) + " " + meta.getTableName(i));
    while (result.next())
      for (int i = 1; i <= meta.getColumnCount(); i++)
        all.add(meta.getColumnTypeName(i).equals("bytea") ? java.util.HexFormat.of().formatHex(result.getBytes(i)) : result.getString(i));
    return all;
  }

  private static void queries(Connection connection) throws SQLException {
    try (PreparedStatement types = connection.prepareStatement(TYPES)) {
      // From the second time on it is a named statement with binary results.
      for (int i = 0; i < 3; i++) {
        types.setInt(1, i);
        say("types", rows(types.executeQuery()), types.unwrap(PGStatement.class).isUseServerPrepare());
      }
      say("described", types.getMetaData().getColumnTypeName(6), types.getParameterMetaData().getParameterTypeName(1));
    }
    try (Statement statement = connection.createStatement()) {
      statement.execute("select 1; update people set name = name; select 2");
      List<Object> results = new ArrayList<>();
      do results.add(statement.getResultSet() == null ? statement.getUpdateCount() : rows(statement.getResultSet()));
      while (statement.getMoreResults() || statement.getUpdateCount() != -1);
      say("many", results);
    }
    try (PreparedStatement insert = connection.prepareStatement("insert into people (id, name, amount, at) values (?, ?, ?, ?)")) {
      for (int i = 0; i < 700; i++) {
        insert.setInt(1, i);
        insert.setString(2, i % 3 == 0 ? null : "näme " + i);
        insert.setBigDecimal(3, new BigDecimal(i).movePointLeft(2));
        insert.setTimestamp(4, new Timestamp(1_735_700_000_000L + i));
        insert.addBatch();
      }
      int[] counts = insert.executeBatch();
      say("batch", counts.length, java.util.Arrays.stream(counts).filter(count -> count != 0).count());
      insert.setInt(1, 5000);
      insert.addBatch();
      insert.setInt(1, 5);
      insert.addBatch();
      say("batch fails", errorOf(insert::executeBatch));
    }
    try (PreparedStatement insert = connection.prepareStatement("insert into people (id) values (?)", Statement.RETURN_GENERATED_KEYS)) {
      insert.setInt(1, 900);
      insert.executeUpdate();
      ResultSet keys = insert.getGeneratedKeys();
      say("keys", rows(keys).subList(4, 5));
    }
    List<Object> errors = new ArrayList<>();
    for (String sql : List.of("select bogus", "selec 1", "insert into people (id) values (1)", "select 1/0"))
      try (PreparedStatement statement = connection.prepareStatement(sql)) {
        errors.add(errorOf(statement::execute));
      }
    say("errors", errors);
    ResultSet found = connection.getMetaData().getColumns(null, connection.getSchema(), "people", null);
    List<Object> columns = new ArrayList<>();
    while (found.next()) columns.add(found.getString("COLUMN_NAME") + " " + found.getString("TYPE_NAME"));
    ResultSet primary = connection.getMetaData().getPrimaryKeys(null, connection.getSchema(), "people");
    primary.next();
    say("metadata", columns, primary.getString("COLUMN_NAME"), connection.getMetaData().getDatabaseProductVersion());
  }

  private static void transactions(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.execute("insert into people (id) values (1000)");
      Savepoint savepoint = connection.setSavepoint();
      say("in the block", errorOf(() -> statement.execute("select 1/0")), errorOf(() -> statement.execute("select 1")));
      connection.rollback(savepoint);
      connection.commit();
      statement.execute("delete from people");
      connection.rollback();
      say("after", rows(statement.executeQuery("select count(*) from people")));
      connection.commit();
      // A portal that is suspended after each 50 rows.
      statement.setFetchSize(50);
      ResultSet result = statement.executeQuery("select id from people order by id");
      long sum = 0;
      while (result.next()) sum += result.getInt(1);
      say("fetch size", sum);
      statement.setFetchSize(3);
      statement.setMaxRows(7);
      say("max rows", rows(statement.executeQuery("select id from people order by id")));
      connection.commit();
    }
    connection.setAutoCommit(true);
  }

  private static void copies(Connection connection) throws Exception {
    var copy = connection.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 20000; i++) lines.append(i).append("\tline ").append(i).append('\n');
    say("copy in", copy.copyIn("copy numbers from stdin", new StringReader(lines.toString())));
    StringWriter out = new StringWriter();
    say("copy out", copy.copyOut("copy (select * from numbers order by i) to stdout", out), out.toString().contentEquals(lines));
    say("copy fails", errorOf(() -> {
      try {
        copy.copyIn("copy numbers from stdin", new StringReader("nonsense\n"));
      } catch (java.io.IOException error) {
        throw new SQLException(error);
      }
    }));
    var unfinished = copy.copyIn("copy numbers from stdin");
    unfinished.writeToCopy("1\tone\n".getBytes(), 0, 6);
    unfinished.cancelCopy();
    say("copy cancelled", connection.createStatement().executeUpdate("update numbers set t = t where i < 10"));
  }

  private static void asynchronous(Connection connection, Connection other, boolean isPatient) throws Exception {
    connection.createStatement().execute("listen news");
    other.createStatement().execute("notify news, 'one'");
    List<Object> heard = new ArrayList<>();
    while (heard.isEmpty())
      for (PGNotification each : connection.unwrap(PGConnection.class).getNotifications(0)) heard.add(each.getName() + " " + each.getParameter());
    say("notified", heard);
    int pid = connection.unwrap(PGConnection.class).getBackendPID();
    try (Statement sleep = connection.createStatement()) {
      Thread canceller = new Thread(() -> {
        try (PreparedStatement asleep = other.prepareStatement("select 1 from pg_stat_activity where pid = ? and wait_event = 'PgSleep'")) {
          asleep.setInt(1, pid);
          while (!asleep.executeQuery().next()) Thread.sleep(10);
          sleep.cancel();
        } catch (Exception error) {
          throw new RuntimeException(error);
        }
      });
      canceller.start();
      say("cancelled", errorOf(() -> sleep.execute("select pg_sleep(100)")));
      canceller.join();
      if (isPatient) {
        sleep.setQueryTimeout(1);
        say("timed out", errorOf(() -> sleep.execute("select pg_sleep(100)")));
      }
      say("after", rows(sleep.executeQuery("select 1")));
    }
  }

  private static void ours(Connection connection, String webhook) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      say("ours: create", statement.execute("CREATE CHANGE DATA CAPTURE ON people TO WEBHOOK '" + webhook + "'"), statement.getUpdateCount());
      statement.execute("insert into people (id, name) values (2000, 'delivered')");
      try (PreparedStatement show = connection.prepareStatement("SHOW CDC STREAMS")) {
        for (int i = 0; i < 3; i++) {
          ResultSet row = show.executeQuery();
          row.next();
          say("ours: show", row.getString("stream_name"), row.getString("source"), row.getString("destination"), row.getString("status"));
          say("ours: types", row.getMetaData().getColumnTypeName(1), row.getObject("lag_seconds") == null ? "" : row.getObject("lag_seconds").getClass().getSimpleName(),
              row.getMetaData().getTableName(1), row.getMetaData().isNullable(1));
        }
        say("ours: described", show.getMetaData().getColumnName(1));
      }
      say("ours: a limit", limited(connection));
      statement.execute("select 1; SHOW CDC STREAMS; select 2");
      statement.getMoreResults();
      ResultSet second = statement.getResultSet();
      second.next();
      say("ours: among many", second.getString("stream_name"), statement.getMoreResults());
      say("ours: syntax", errorOf(() -> statement.execute("ALTER CDC STREAM s PAUZE")));
      try (PreparedStatement wrong = connection.prepareStatement("ALTER CDC STREAM s PAUZE")) {
        say("ours: syntax, prepared", errorOf(wrong::execute), errorOf(wrong::execute));
      }
      connection.setAutoCommit(false);
      statement.execute("insert into people (id) values (2001)");
      Savepoint savepoint = connection.setSavepoint();
      say("ours: in a block", errorOf(() -> statement.execute("ALTER CDC STREAM s PAUZE")), errorOf(() -> statement.execute("SHOW CDC STREAMS")));
      connection.rollback(savepoint);
      say("ours: at a savepoint", rows(statement.executeQuery("select count(*) from people where id = 2001")));
      connection.rollback();
      connection.setAutoCommit(true);
      try (PreparedStatement create = connection.prepareStatement("CREATE CDC STREAM bound ON people TO WEBHOOK ?")) {
        create.setString(1, webhook);
        say("ours: a parameter", create.executeUpdate());
      }
      statement.addBatch("ALTER CDC STREAM bound PAUSE");
      statement.addBatch("ALTER CDC STREAM bound RESUME");
      List<Object> counts = new ArrayList<>();
      for (int count : statement.executeBatch()) counts.add(count);
      say("ours: in a batch", counts);
      say("ours: drop", statement.executeUpdate("DROP CDC STREAM people_cdc_stream, bound"));
      say("ours: gone", errorOf(() -> statement.execute("SHOW CDC STREAM STATUS bound")));
    }
  }

  /** The first property, and how many there are, from a portal of ours that is suspended after each four rows. */
  private static List<Object> limited(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (PreparedStatement status = connection.prepareStatement("SHOW CDC STREAM STATUS people_cdc_stream")) {
      status.setFetchSize(4);
      ResultSet result = status.executeQuery();
      result.next();
      String first = result.getString("property");
      int count = 1;
      while (result.next()) count++;
      return List.of(first, count > 30);
    } finally {
      connection.commit();
      connection.setAutoCommit(true);
    }
  }

  private static void everyStatement(Connection connection, String file) throws Exception {
    List<Object> outcomes = new ArrayList<>();
    for (String line : java.nio.file.Files.readAllLines(java.nio.file.Path.of(file))) {
      String[] parts = line.split("\t");
      try (PreparedStatement statement = connection.prepareStatement(parts[0].replaceAll("\\$\\d", "?"))) {
        for (int i = 1; i < parts.length; i++) statement.setString(i, parts[i]);
        if (!statement.execute()) {
          outcomes.add("done");
          continue;
        }
        ResultSet result = statement.getResultSet();
        StringBuilder columns = new StringBuilder("rows");
        for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) columns.append(' ').append(result.getMetaData().getColumnLabel(i));
        while (result.next()) for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) result.getObject(i);
        outcomes.add(columns.toString());
      } catch (SQLException error) {
        outcomes.add("error " + error.getSQLState());
      }
    }
    say("ours: every statement", outcomes.toArray());
  }

  public static void main(String[] args) throws Exception {
    String[][] modes = {
      {"preferQueryMode", "extended", "prepareThreshold", "2"},
      {"preferQueryMode", "simple"},
      {"preferQueryMode", "extendedForPrepared", "prepareThreshold", "1", "reWriteBatchedInserts", "true"},
      {"preferQueryMode", "extendedCacheEverything", "prepareThreshold", "-1", "autosave", "always"},
    };
    for (String[] mode : modes) {
      try (Connection connection = connect(args[0], mode); Connection other = connect(args[0])) {
        say(String.join(" ", mode));
        connection.createStatement().execute("drop table if exists people, numbers; create table people (id int primary key, name text, amount numeric, at timestamptz); create table numbers (i int, t text)");
        queries(connection);
        transactions(connection);
        copies(connection);
        asynchronous(connection, other, mode == modes[0]);
        if (args.length > 2) {
          ours(connection, args[1]);
          everyStatement(connection, args[2]);
        }
      }
    }
  }
}
