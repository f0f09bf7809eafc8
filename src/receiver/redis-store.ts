import { randomUUID } from 'node:crypto';
import type { DeduplicationStore } from './deduplicate.ts';
import { WebhookError } from './webhook-error.ts';

/**
 * Sends one command to Redis, Valkey or what else speaks like them. With `redis`: `(...args) => client.sendCommand(args)`;
 * with `ioredis`: `(command, ...args) => client.call(command, ...args)`.
 */
export type RedisCommand = (command: string, ...args: string[]) => Promise<unknown>;

export interface RedisStoreOptions {
  /** What the keys begin with. The braces keep them on one node of a cluster. `{walhook}:inbox:` by default. */
  readonly prefix?: string;
  /** How long an id is remembered. A week by default; keep longer than a stream retries (`max_retry_duration`). */
  readonly rememberSeconds?: number;
  /** How long a handler may take: after it, its events may be given to another request. A minute by default. */
  readonly leaseSeconds?: number;
}

/*
  A key per event: `done`, or the token of who is applying it.

    CLAIM    keys, token, lease in ms: 'busy' where somebody else is applying one of them; otherwise takes all that are not
             done, and answers with 1 for each that it took and 0 for each that is done
    SETTLE   keys, token, value, ms: of those that still are the token's, sets the value for so long; without a value
             they are deleted
*/
const CLAIM = `
local found = redis.call('MGET', unpack(KEYS))
for _, value in ipairs(found) do
  if value and value ~= 'done' then return 'busy' end
end
local taken = {}
for i, key in ipairs(KEYS) do
  if found[i] then taken[i] = 0 else
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    taken[i] = 1
  end
end
return taken`;
const SETTLE = `
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    if ARGV[2] == '' then redis.call('DEL', key) else redis.call('SET', key, ARGV[2], 'PX', ARGV[3]) end
  end
end
return 1`;

const WEEK_SECONDS = 604_800;

/**
 * Remembers in Redis. An event is given to one handler at a time, and to none once it is done. What the handler has written
 * elsewhere when its process dies cannot be known here: such an event is applied again when the lease is over. Where that
 * must not be, keep ids where the effects are (`PostgresStore`).
 */
export class RedisStore implements DeduplicationStore<void> {
  readonly #command: RedisCommand;
  readonly #prefix: string;
  readonly #rememberMs: string;
  readonly #leaseMs: string;

  constructor(command: RedisCommand, options: RedisStoreOptions = {}) {
    const { prefix = '{walhook}:inbox:', rememberSeconds = WEEK_SECONDS, leaseSeconds = 60 } = options;
    this.#command = command;
    this.#prefix = prefix;
    this.#rememberMs = String(Math.ceil(rememberSeconds * 1000));
    this.#leaseMs = String(Math.ceil(leaseSeconds * 1000));
  }

  /** Throws `WebhookError` (`in_progress`) where another request is applying one of the events: answer with 503. */
  async apply(ids: readonly string[], work: (fresh: readonly string[], context: void) => Promise<void>): Promise<void> {
    if (ids.length === 0) return;
    const token = randomUUID();
    const taken = await this.#run(CLAIM, ids, token, this.#leaseMs);
    if (!Array.isArray(taken)) {
      throw new WebhookError('in_progress', 'another request is applying one of these events');
    }
    const fresh = ids.filter((_, i) => Number(taken[i]) === 1);
    if (fresh.length === 0) return;
    try {
      await work(fresh, undefined);
    } catch (error) {
      // Where this fails too, the lease ends the claim.
      await this.#run(SETTLE, fresh, token, '', '0').catch(() => undefined);
      throw error;
    }
    await this.#run(SETTLE, fresh, token, 'done', this.#rememberMs);
  }

  #run(script: string, ids: readonly string[], ...args: string[]): Promise<unknown> {
    const keys = ids.map((id) => `${this.#prefix}${id.toLowerCase()}`);
    return this.#command('EVAL', script, String(keys.length), ...keys, ...args);
  }
}
