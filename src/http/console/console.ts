import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { StreamReport } from '../../model/status.ts';
import { NOT_BUILT, readConsoleFiles } from './console-files.ts';
import { LiveUpdates, type LiveSubject } from './live-updates.ts';
import { cookieOf, foreignRequest, isForwarded, namesLoopback } from './request-rules.ts';
import { SECURITY_HEADERS } from './security-headers.ts';
import { sameSecret, Sessions, type ConsoleSession } from './sessions.ts';
import { SharedAccount } from './shared-account.ts';
import { SignInLimit } from './sign-in-limit.ts';
import { SqlError, type SqlAccount, type SqlGateway } from './sql-account.ts';
import { StreamSamples } from './stream-samples.ts';

/**
 * Who may come in without signing in. `nobody`; or whoever reaches a loopback address, as a `viewer` (definitions, states
 * and counts, no values and no actions) or as a `client`, with all rights of walhook's own user.
 */
export type OpenTo = 'nobody' | 'viewer' | 'client';

export interface ConsoleOptions {
  readonly version: string;
  /** The built console. */
  readonly folder: string;
  readonly openTo: OpenTo;
  /** Whoever has it acts as walhook's own user; null: there is none. */
  readonly token: string | null;
  readonly sql: SqlGateway;
  readonly reports: () => Promise<readonly StreamReport[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const MAX_STATEMENT_BYTES = 16_384;
/** A role's and a database's name has 63 bytes at most, and a password fewer than this in every server. */
const MAX_CREDENTIAL_LENGTH = 1_024;

/*
  GET  /, /assets/…      the page
  GET  /api/session      who is in, and how one may come in
  POST /api/session      comes in: {} (as anybody), {"token"}, or {"user", "password", "database"}
  DELETE /api/session    goes out
  POST /api/sql          {"sql"}: one statement; its answer, or its error (422)
  GET  /api/live         server-sent events of all streams, or of ?stream=…
*/
export class Console {
  readonly #options: ConsoleOptions;
  readonly #sessions: Sessions;
  readonly #samples: StreamSamples;
  readonly #live: LiveUpdates;
  readonly #limit = new SignInLimit();
  /** Null: nobody comes in without signing in. */
  readonly #anybody: SharedAccount | null;
  readonly #stopping = new AbortController();
  #token: string | null;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#token = options.token;
    this.#anybody = options.openTo === 'nobody' ? null : new SharedAccount(options.sql.own(options.openTo));
    this.#sessions = new Sessions(options.random);
    this.#samples = new StreamSamples(options.reports, options.clock);
    this.#live = new LiveUpdates(this.#samples, options.clock);
  }

  /** Another token, or none. Whoever has come in with the one before is out. */
  setToken(token: string | null): void {
    if (token === this.#token) return;
    this.#token = token;
    this.#sessions.endAll('token');
  }

  /** Adds its routes to the server. */
  async register(app: FastifyInstance): Promise<void> {
    for (const file of readConsoleFiles(this.#options.folder) ?? [NOT_BUILT]) {
      const caching = file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache';
      app.get(file.path, async (_request, reply) => {
        return reply.type(file.type).header('cache-control', caching).send(file.body);
      });
    }
    await app.register(async (api) => this.#registerApi(api), { prefix: '/api' });
  }

  /** Takes samples for the charts until the signal aborts; then ends what is open. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#samples.run(signal);
    this.#stopping.abort(new Error('walhook stops'));
    this.#sessions.endAll();
    this.#anybody?.close();
  }

  #registerApi(api: FastifyInstance): void {
    api.addHook('onRequest', async (request, reply) => this.#refuseForeign(request, reply));
    api.get('/session', async (request) => this.#describe(request, this.#sessionOf(request)));
    api.post('/session', { bodyLimit: MAX_STATEMENT_BYTES }, async (request, reply) => this.#comeIn(request, reply));
    api.delete('/session', async (request, reply) => {
      const session = this.#actingSession(request, reply);
      if (session === null) return reply;
      this.#sessions.end(session);
      return reply
        .header('set-cookie', this.#cookie(request, '', 0))
        .code(204)
        .send();
    });
    api.post('/sql', { bodyLimit: MAX_STATEMENT_BYTES }, async (request, reply) => this.#execute(request, reply));
    api.get('/live', async (request, reply) => this.#serveLive(request, reply));
  }

  async #refuseForeign(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    void reply.header('cache-control', 'no-store');
    const foreign = foreignRequest(request);
    if (foreign !== null) return refuse(reply, 403, foreign);
    if (this.#options.openTo !== 'nobody' && !namesLoopback(request.headers.host)) {
      return refuse(reply, 403, 'the Host header names another machine; use localhost or 127.0.0.1');
    }
    return undefined;
  }

  async #comeIn(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const asked = readSignIn(request.body);
    if (asked === null) return refuse(reply, 400, 'the request is malformed');
    const { logger, clock } = this.#options;
    let account: SqlAccount | null;
    if (asked.kind === 'anybody') account = isForwarded(request) ? null : this.#anybody;
    else {
      const tried = await this.#limit.attempt(request.ip, clock.monotonicMs(), async () => this.#signIn(asked));
      if (tried === null) return refuse(reply.header('retry-after', '6'), 429, 'too many attempts; wait a little');
      if (tried instanceof SqlError) {
        logger.warn({ address: request.ip, how: asked.kind, code: tried.fields.code }, 'console sign-in refused');
        return reply.code(401).send({ error: tried.fields });
      }
      account = tried;
    }
    if (account === null) return refuse(reply, 401, 'sign in first');
    const before = this.#sessionOf(request);
    // A session has one kind of rights for its life: a cookie that was there before does not get more of them.
    if (before !== null) this.#sessions.end(before);
    const session = this.#sessions.start(asked.kind, account, clock.monotonicMs());
    if (session === null) return refuse(reply, 503, 'too many people have signed in');
    if (asked.kind !== 'anybody') {
      logger.info({ address: request.ip, how: asked.kind, user: account.user }, 'console sign-in');
    }
    return reply.header('set-cookie', this.#cookie(request, session.id, null)).send(this.#describe(request, session));
  }

  async #signIn(asked: Exclude<SignIn, { kind: 'anybody' }>): Promise<SqlAccount | SqlError> {
    const { sql } = this.#options;
    const token = this.#token;
    if (asked.kind === 'token') {
      if (token !== null && sameSecret(asked.token, token)) return sql.own('client');
      return new SqlError({ severity: 'FATAL', code: '28000', message: 'the token is wrong' });
    }
    if (sql.signInProblem !== null) {
      return new SqlError({ severity: 'FATAL', code: '28000', message: sql.signInProblem });
    }
    try {
      return await sql.signIn(asked.user, asked.password, asked.database);
    } catch (error) {
      if (error instanceof SqlError) return error;
      throw error;
    }
  }

  async #execute(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const session = this.#actingSession(request, reply);
    if (session === null) return reply;
    const sql = (request.body as { readonly sql?: unknown } | null)?.sql;
    if (typeof sql !== 'string') return refuse(reply, 400, 'the request is malformed');
    const { logger } = this.#options;
    try {
      const answer = await session.statements.execute(sql);
      if (answer.isAction) {
        const { account, kind } = session;
        logger.info({ user: account.user, how: kind, address: request.ip, statement: sql }, 'console action');
      }
      return await reply.send(answer);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      return reply.code(422).send({ error: error.fields });
    }
  }

  async #serveLive(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const session = this.#sessionOf(request);
    if (session === null) return refuse(reply, 401, 'sign in first');
    if (this.#live.isFull(session)) return refuse(reply, 429, 'too many pages are open');
    const { stream } = request.query as { readonly stream?: unknown };
    const subject: LiveSubject = typeof stream === 'string' ? { kind: 'stream', name: stream } : { kind: 'streams' };
    reply.hijack();
    reply.raw.writeHead(200, {
      ...SECURITY_HEADERS,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // A proxy that gathers what it passes on would hold events back.
      'x-accel-buffering': 'no',
    });
    const isIn = (): boolean => this.#sessions.find(session.id, this.#options.clock.monotonicMs()) === session;
    await this.#live.serve(reply.raw, subject, session, isIn, this.#stopping.signal);
    return reply;
  }

  #sessionOf(request: FastifyRequest): ConsoleSession | null {
    return this.#sessions.find(cookieOf(request, cookieName(request)), this.#options.clock.monotonicMs());
  }

  /** Refuses, and gives null, where the request has no session or not its secret. */
  #actingSession(request: FastifyRequest, reply: FastifyReply): ConsoleSession | null {
    const session = this.#sessionOf(request);
    const csrf = request.headers['x-csrf-token'];
    if (session === null) void refuse(reply, 401, 'sign in first');
    else if (typeof csrf !== 'string' || !sameSecret(csrf, session.csrf)) {
      void refuse(reply, 403, 'the X-CSRF-Token header is not the session’s');
    } else return session;
    return null;
  }

  #describe(request: FastifyRequest, session: ConsoleSession | null): object {
    const { version, sql } = this.#options;
    return {
      version,
      isOpen: this.#anybody !== null && !isForwarded(request),
      hasToken: this.#token !== null,
      hasPasswords: sql.signInProblem === null,
      session: session && {
        user: session.account.user,
        database: session.account.database,
        access: session.account.access,
        kind: session.kind,
        csrf: session.csrf,
      },
    };
  }

  /** `maxAge` null: until the browser is closed. */
  #cookie(request: FastifyRequest, value: string, maxAge: number | null): string {
    // Behind a proxy that speaks TLS, the page's origin tells.
    const secure = request.headers.origin?.startsWith('https:') === true ? '; Secure' : '';
    const age = maxAge === null ? '' : `; Max-Age=${maxAge}`;
    return `${cookieName(request)}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}${age}`;
  }
}

/** Cookies are of a host and not of a port: two walhooks on one machine would take each other's. */
function cookieName({ headers }: FastifyRequest): string {
  const port = /:(\d{1,5})$/.exec(headers.host ?? '')?.[1];
  return port === undefined ? 'walhook' : `walhook_${port}`;
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ error: { severity: 'ERROR', code: null, message } });
}

type SignIn =
  | { readonly kind: 'anybody' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'password'; readonly user: string; readonly password: string; readonly database: string | null };

/** What a sign-in asks for; null where it is malformed. */
function readSignIn(body: unknown): SignIn | null {
  if (typeof body !== 'object' || body === null) return null;
  const { token, user, password, database } = body as Readonly<Record<string, unknown>>;
  if (token === undefined && user === undefined && password === undefined) return { kind: 'anybody' };
  if (isCredential(token) && user === undefined) return { kind: 'token', token };
  if (!isCredential(user) || !isCredential(password)) return null;
  if (database === undefined || database === '') return { kind: 'password', user, password, database: null };
  return isCredential(database) ? { kind: 'password', user, password, database } : null;
}

function isCredential(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_CREDENTIAL_LENGTH && !value.includes('\0');
}
