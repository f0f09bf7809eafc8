import type { SqlAnswer, SqlMessage } from '../../src/http/console/sql-account.ts';

export interface ConsoleReply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly session?: { readonly user: string; readonly access: string; readonly kind: string; readonly csrf: string };
    readonly isOpen?: boolean;
    readonly error?: SqlMessage;
  } & Partial<SqlAnswer>;
}

/** The console's API as its page uses it: with the page's origin, the session's cookie and its CSRF token. */
export class ConsoleClient {
  readonly origin: string;
  cookie: string | null = null;
  csrf: string | null = null;

  constructor(origin: string) {
    this.origin = origin;
  }

  /** `headers`: an empty value leaves one out that the page would send. */
  async request(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ConsoleReply> {
    const sent: Record<string, string> = {
      origin: this.origin,
      'sec-fetch-site': 'same-origin',
      ...(this.cookie === null ? {} : { cookie: this.cookie }),
      ...(this.csrf === null ? {} : { 'x-csrf-token': this.csrf }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    };
    const kept = Object.fromEntries(Object.entries(sent).filter(([, value]) => value !== ''));
    const response = await fetch(`${this.origin}${path}`, {
      method,
      headers: kept,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : {} };
  }

  /** Comes in as the body says; keeps cookie and token. */
  async comeIn(body: object = {}, headers: Record<string, string> = {}): Promise<ConsoleReply> {
    const reply = await this.request('POST', '/api/session', body, headers);
    if (reply.status === 200) {
      this.cookie = reply.headers.get('set-cookie')!.split(';')[0]!;
      this.csrf = reply.body.session!.csrf;
    }
    return reply;
  }

  sql(sql: string, headers: Record<string, string> = {}): Promise<ConsoleReply> {
    return this.request('POST', '/api/sql', { sql }, headers);
  }

  /** The rows of an answer by their columns' names. */
  async rows(sql: string): Promise<ReadonlyArray<Record<string, string | null>>> {
    const { status, body } = await this.sql(sql);
    if (status !== 200) throw new Error(`${sql}: ${status} ${body.error?.code} ${body.error?.message}`);
    return body.rows!.map((row) => Object.fromEntries(body.columns!.map((name, at) => [name, row[at] ?? null])));
  }

  /** Server-sent events as they come, until the caller stops reading. */
  async *live(query: string, signal: AbortSignal): AsyncGenerator<{ readonly event: string; readonly data: unknown }> {
    const headers = { cookie: this.cookie ?? '', 'sec-fetch-site': 'same-origin' };
    const response = await fetch(`${this.origin}/api/live${query}`, { headers, signal });
    if (response.status !== 200 || response.body === null) throw new Error(`live: ${response.status}`);
    let text = '';
    for await (const bytes of response.body) {
      text += new TextDecoder().decode(bytes as Uint8Array);
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        const [event = '', data = ''] = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        yield { event: event.slice('event: '.length), data: JSON.parse(data.slice('data: '.length)) };
      }
    }
  }
}
