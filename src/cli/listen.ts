import { systemClock } from '../base/clock.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { parseTcpAddress, type TcpAddress } from '../config/options.ts';
import { type NativeEvent, readEvents } from '../receiver/native-event.ts';
import { verify } from '../receiver/verify.ts';
import { WebhookError } from '../receiver/webhook-error.ts';
import { bound } from './address-in-use.ts';
import { decide, listenProblems, type ListenConfig } from './listen-answer.ts';
import { LISTEN_OPTIONS } from './listen-options.ts';
import {
  formatWebhook,
  headerOf,
  type LocalAnswer,
  LocalReceiver,
  printable,
  type ReceivedWebhook,
} from './local-receiver.ts';
import { stopSignal } from './signals.ts';

const DEFAULT_ADDRESS = '127.0.0.1:7490';
/** Ids that are told from new ones; older ones are forgotten. */
const MAX_KNOWN_IDS = 100_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/**
 * `walhook listen [HOST:PORT]`: a receiver for development. It prints what comes, verifies signatures, and fails as it is
 * told to, so that one sees what happens before production does.
 */
export async function listenCommand(args: readonly string[]): Promise<number> {
  const { values, rest } = loadOptions(LISTEN_OPTIONS, args, process.env, [], listenProblems);
  const address = addressOf(rest);
  const stopped = stopSignal();
  const full = new AbortController();
  const signal = AbortSignal.any([stopped, full.signal]);
  const listener = new Listener(values, signal, () => full.abort());
  const receiver = new LocalReceiver((webhook) => listener.take(webhook));
  const port = await bound(receiver.listen(address.host, address.port), 'walhook listen HOST:PORT');
  const shown = address.host.includes(':') ? `[${address.host}]` : address.host;
  const url = `http://${shown}:${port}`;
  say(values.output === 'json' ? JSON.stringify({ listening: url }) : `Listening on ${url}; Ctrl-C ends it.`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await receiver.close();
  if (values.output !== 'json') say(listener.summary());
  return values.count !== null && !listener.isAllWell ? 1 : 0;
}

function addressOf(words: readonly string[]): TcpAddress {
  if (words.length > 1) throw new ConfigError(words.slice(1).map((word) => `"${word}" is no option of listen`));
  try {
    return parseTcpAddress(words[0] ?? DEFAULT_ADDRESS);
  } catch (error) {
    throw new ConfigError([(error as Error).message]);
  }
}

/** Takes requests one by one: looks at them, decides, prints. */
class Listener {
  readonly #config: ListenConfig;
  readonly #signal: AbortSignal;
  readonly #onFull: () => void;
  readonly #known = new Set<string>();
  readonly #counts = { requests: 0, events: 0, again: 0, refused: 0, unsigned: 0 };
  #answered = 0;

  constructor(config: ListenConfig, signal: AbortSignal, onFull: () => void) {
    this.#config = config;
    this.#signal = signal;
    this.#onFull = onFull;
  }

  get isAllWell(): boolean {
    const { count } = this.#config;
    return (count === null || this.#answered >= count) && this.#counts.refused === 0;
  }

  async take(webhook: ReceivedWebhook): Promise<LocalAnswer> {
    const number = ++this.#counts.requests;
    const read = this.#read(webhook);
    const isVerified = !('problem' in read);
    const events = isVerified ? read.events : [];
    const { answer, delayMs, failed, reason } = isVerified
      ? decide(this.#config, number, events)
      : { answer: { kind: 'answer', status: read.status } as const, delayMs: 0, failed: [], reason: read.problem };
    const again = events.filter(({ id }) => this.#known.has(id)).length;
    this.#counts.events += events.length;
    this.#counts.again += again;
    if (reason !== null) this.#counts.refused++;
    if (answer.kind === 'answer' && answer.status < 300) {
      for (const event of events) if (!failed.includes(event)) this.#remember(event.id);
    }
    this.#print(webhook, { number, answer, reason, events, again, delayMs, isVerified });
    // A stop ends the waiting; the connection is closed then.
    await systemClock.sleep(delayMs, this.#signal).catch(() => undefined);
    this.#answered++;
    if (this.#answered === this.#config.count) setImmediate(this.#onFull);
    return answer;
  }

  summary(): string {
    const { requests, events, again, refused, unsigned } = this.#counts;
    const parts = [
      `${requests} requests`,
      `${events} events`,
      `${again} of them taken before`,
      `${refused} requests refused`,
      ...(this.#config.secret.length > 0 ? [`${unsigned} of these not signed as they should be`] : []),
    ];
    return parts.join(', ');
  }

  #read(webhook: ReceivedWebhook): { events: readonly NativeEvent[] } | { problem: string; status: number } {
    const { secret } = this.#config;
    try {
      if (secret.length === 0) return { events: readEvents(webhook.body).filter(isEvent) };
      const headers = Object.fromEntries(webhook.headers.map(([name, value]) => [name.toLowerCase(), value]));
      return { events: verify(webhook.body, headers, secret).filter(isEvent) };
    } catch (error) {
      if (error instanceof WebhookError) {
        this.#counts.unsigned++;
        return { problem: error.message, status: error.status };
      }
      // What is no JSON holds no events that could be rejected.
      return { events: [] };
    }
  }

  #remember(id: string): void {
    this.#known.add(id);
    if (this.#known.size <= MAX_KNOWN_IDS) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      return;
    }
  }

  #print(webhook: ReceivedWebhook, taken: Taken): void {
    switch (this.#config.output) {
      case 'none':
        return;
      case 'json':
        say(JSON.stringify(described(webhook, taken, this.#config.secret.length > 0)));
        return;
      case 'line':
        say(lineOf(webhook, taken));
        return;
      case 'full':
        say(`\n${formatWebhook(webhook)}\n${lineOf(webhook, taken)}`);
    }
  }
}

interface Taken {
  readonly number: number;
  readonly answer: LocalAnswer;
  readonly reason: string | null;
  readonly events: readonly NativeEvent[];
  readonly again: number;
  readonly delayMs: number;
  readonly isVerified: boolean;
}

function isEvent(value: unknown): value is NativeEvent {
  return typeof value === 'object' && value !== null && typeof (value as { id?: unknown }).id === 'string';
}

/** `#3 POST /hook: 2 events (1 taken before), attempt 2 → 503 after 5000 ms (told to fail)` */
function lineOf(webhook: ReceivedWebhook, { number, answer, reason, events, again, delayMs }: Taken): string {
  const before = again > 0 ? ` (${again} taken before)` : '';
  const attempt = headerOf(webhook, 'x-cdc-attempt');
  const said = answer.kind === 'reset' ? 'no answer' : String(answer.status);
  const count = `${events.length} event${events.length === 1 ? '' : 's'}${before}`;
  const tried = attempt === null ? '' : `, attempt ${attempt}`;
  const late = delayMs > 0 ? ` after ${delayMs} ms` : '';
  const why = reason === null ? '' : ` (${reason})`;
  return printable(`#${number} ${webhook.method} ${webhook.path}: ${count}${tried} → ${said}${late}${why}`);
}

/** For programs: the request, whole, and what was done about it. */
function described(webhook: ReceivedWebhook, taken: Taken, isVerifying: boolean): object {
  const { number, answer, reason, again, delayMs } = taken;
  return {
    number,
    method: webhook.method,
    path: webhook.path,
    headers: Object.fromEntries(webhook.headers.map(([name, value]) => [name.toLowerCase(), value])),
    body: webhook.body,
    events: taken.events.length,
    again,
    verified: isVerifying ? taken.isVerified : null,
    status: answer.kind === 'answer' ? answer.status : null,
    delay_ms: delayMs,
    reason,
  };
}
