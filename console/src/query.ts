import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, execute, type SqlAnswer, type SqlMessage } from './api.ts';
import { useSession } from './session.ts';

export interface Query {
  readonly answer: SqlAnswer | null;
  readonly problem: SqlMessage | null;
  readonly reload: () => void;
}

const UNKNOWN: SqlMessage = { severity: 'ERROR', code: null, message: 'something went wrong' };

export function messageOf(error: unknown): SqlMessage {
  return error instanceof ApiError ? error.fields : UNKNOWN;
}

/** A statement for so many rows; fewer where the server says that the answer would be too large (54000). */
export function useLimitedQuery(
  sqlOf: (rows: number) => string,
  limits: readonly number[],
  version: unknown,
): Query & { readonly sql: string; readonly rows: number } {
  const [at, setAt] = useState(0);
  const rows = limits[at]!;
  const sql = sqlOf(rows);
  const query = useQuery(sql, version);
  const isTooLarge = query.problem?.code === '54000' && at < limits.length - 1;
  useEffect(() => {
    if (isTooLarge) setAt(at + 1);
  }, [isTooLarge, at]);
  return { ...query, sql, rows };
}

/** Runs the statement now, and again whenever `version` changes, which the live updates have it do. */
export function useQuery(sql: string, version: unknown = null): Query {
  const [state, setState] = useState<{ sql: string; answer: SqlAnswer | null; problem: SqlMessage | null }>({
    sql,
    answer: null,
    problem: null,
  });
  const { check } = useSession();
  const latest = useRef(0);
  const reload = useCallback(() => {
    const asked = ++latest.current;
    execute(sql).then(
      (answer) => asked === latest.current && setState({ sql, answer, problem: null }),
      (error: unknown) => {
        if (error instanceof ApiError && error.status === 401) check();
        if (asked === latest.current) setState((before) => ({ ...before, sql, problem: messageOf(error) }));
      },
    );
  }, [sql]);
  useEffect(reload, [reload, version]);
  return state.sql === sql ? { ...state, reload } : { answer: null, problem: null, reload };
}
