import type { JSX } from 'preact';

type Tone = 'good' | 'warn' | 'bad' | 'idle' | 'busy';

const TONES: Readonly<Record<string, Tone>> = {
  running: 'good',
  retrying: 'warn',
  circuit_open: 'bad',
  failed: 'bad',
  paused: 'idle',
  starting: 'busy',
  backfilling: 'busy',
};

/** A state in a word, with a colour that says the same. */
export function Status({ status }: { readonly status: string | null | undefined }): JSX.Element {
  const text = status ?? 'unknown';
  return <Badge tone={TONES[text] ?? 'idle'} text={text.replaceAll('_', ' ')} />;
}

export function Circuit({ state }: { readonly state: string | null | undefined }): JSX.Element {
  if (state === 'open') return <Badge tone="bad" text="open" />;
  if (state === 'half_open') return <Badge tone="warn" text="half open" />;
  return <span class="muted">{state ?? '–'}</span>;
}

/** What became of a request. */
export function Outcome({ outcome }: { readonly outcome: string | null | undefined }): JSX.Element {
  const text = outcome ?? 'unknown';
  const tone: Tone = text === 'ok' || text === 'delivered' ? 'good' : text === 'cancelled' ? 'idle' : 'bad';
  return <Badge tone={tone} text={text.replaceAll('_', ' ')} />;
}

export function Badge({ tone, text }: { readonly tone: Tone; readonly text: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <span class="dot" aria-hidden="true" />
      {text}
    </span>
  );
}
