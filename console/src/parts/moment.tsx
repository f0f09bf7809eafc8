import type { JSX } from 'preact';
import { ago, fullMoment, moment, NONE, timeOf } from '../format.ts';

/** A timestamptz of the server's, in the reader's time zone. */
export function Moment({ at }: { readonly at: string | null | undefined }): JSX.Element {
  const ms = timeOf(at);
  if (ms === null) return <span class="muted">{NONE}</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={fullMoment(ms)}>
      {moment(ms)}
    </time>
  );
}

/** The same as a distance from now; drawn again with each update of the page. */
export function Ago({ at }: { readonly at: string | null | undefined }): JSX.Element {
  const ms = timeOf(at);
  if (ms === null) return <span class="muted">{NONE}</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={fullMoment(ms)}>
      {ago(ms, Date.now())}
    </time>
  );
}
