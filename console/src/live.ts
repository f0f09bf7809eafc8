import { useEffect, useRef, useState } from 'preact/hooks';
import type { SqlAnswer, SqlMessage } from './api.ts';

export interface Samples {
  readonly times: readonly number[];
  readonly series: Readonly<Record<string, ReadonlyArray<number | null>>>;
}

export interface Live {
  /** Null: none has come yet. */
  readonly answer: SqlAnswer | null;
  readonly problem: SqlMessage | null;
  readonly samples: Readonly<Record<string, Samples>>;
  /** Whether it is connected just now. */
  readonly isLive: boolean;
}

/** A quarter of an hour of a sample every five seconds. */
const MAX_SAMPLES = 180;
const RECONNECT_MS = 2_000;
const NOTHING: Live = { answer: null, problem: null, samples: {}, isLive: false };

/** What the server tells of all streams, or of one. `lost`: the session may be over. */
export function useLive(stream: string | null, lost: () => void): Live {
  const [live, setLive] = useState(NOTHING);
  const onLost = useRef(lost);
  onLost.current = lost;
  useEffect(() => {
    let source: EventSource | null = null;
    let timer = 0;
    const open = (): void => {
      source = new EventSource(stream === null ? 'api/live' : `api/live?stream=${encodeURIComponent(stream)}`);
      // A new connection tells everything from its beginning.
      source.onopen = () => setLive((before) => ({ ...before, samples: {}, isLive: true }));
      source.onerror = () => {
        setLive((before) => ({ ...before, isLive: false }));
        if (source?.readyState !== EventSource.CLOSED) return;
        onLost.current();
        timer = window.setTimeout(open, RECONNECT_MS);
      };
      const answered = (event: MessageEvent<string>): void => {
        const answer = JSON.parse(event.data) as SqlAnswer;
        setLive((before) => ({ ...before, answer, problem: null, isLive: true }));
      };
      source.addEventListener('streams', answered);
      source.addEventListener('stream', answered);
      source.addEventListener('problem', (event: MessageEvent<string>) => {
        const problem = JSON.parse(event.data) as SqlMessage;
        setLive((before) => ({ ...before, problem }));
      });
      source.addEventListener('samples', (event: MessageEvent<string>) => {
        const fresh = JSON.parse(event.data) as Readonly<Record<string, Samples>>;
        setLive((before) => ({ ...before, samples: joined(before.samples, fresh) }));
      });
    };
    setLive(NOTHING);
    open();
    return () => {
      clearTimeout(timer);
      source?.close();
    };
  }, [stream]);
  return live;
}

function joined(
  before: Readonly<Record<string, Samples>>,
  fresh: Readonly<Record<string, Samples>>,
): Readonly<Record<string, Samples>> {
  const all = { ...before };
  for (const [name, { times, series }] of Object.entries(fresh)) {
    const former = before[name];
    const last = former?.times.at(-1) ?? 0;
    const from = times.findIndex((time) => time > last);
    if (from === -1) continue;
    all[name] = {
      times: [...(former?.times ?? []), ...times.slice(from)].slice(-MAX_SAMPLES),
      series: Object.fromEntries(
        Object.entries(series).map(([key, values]) => [
          key,
          [...(former?.series[key] ?? []), ...values.slice(from)].slice(-MAX_SAMPLES),
        ]),
      ),
    };
  }
  return all;
}
