import { MessageChannel, Worker, type MessagePort, type ResourceLimits, type Transferable } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';
import { entryUrl, post, type FromOpening, type ToSharedThread } from './thread.ts';

/**
 * Chunks and bodies live outside the heap; what is inside is short-lived and small, apart from the events that wait,
 * whose number is limited. V8 sizes its generations by what they may become: with the machine's default it lets some
 * hundred megabytes more of garbage stand before it collects. A larger young generation gives an endpoint that takes one event at a time
 * a fifth more of them in a second, and holds up for longer, at each collection, what has just committed.
 */
const HEAP_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 12, maxOldGenerationSizeMb: 256 };

/** One worker thread while it has parts. */
interface Host {
  readonly worker: Worker;
  readonly ended: Promise<void>;
  parts: number;
  isEnding: boolean;
}

/**
 * A worker thread of the data plane, seen from the main thread, with a part for each captured database: a thread of its own
 * for each would cost 25 MB. It is there while it has parts.
 */
export class SharedThread {
  readonly name: string;
  readonly #failure = Promise.withResolvers<never>();
  #host: Host | null = null;

  constructor(name: string) {
    this.name = name;
    this.#failure.promise.catch(() => undefined);
  }

  /** Never resolves; rejects when the thread ends by itself: a part that throws has met a programmer's error. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /** `onEvent` is given what the part says without being asked. */
  open<To extends { kind: string }, From extends FromPart>(
    data: object,
    transferList: readonly Transferable[],
    onEvent: (message: From) => void,
  ): Part<To, From> {
    const host = (this.#host ??= this.#start());
    host.parts++;
    const { port1, port2 } = new MessageChannel();
    const message: ToSharedThread = { kind: 'open', data, main: port2 };
    host.worker.postMessage(message, [port2, ...transferList]);
    return new Part(this.name, port1, onEvent, () => this.#leave(host));
  }

  #start(): Host {
    const worker = new Worker(entryUrl(`${this.name}-thread`), { name: this.name, resourceLimits: HEAP_LIMITS });
    const ended = Promise.withResolvers<void>();
    const host: Host = { worker, ended: ended.promise, parts: 0, isEnding: false };
    worker.on('error', (error) => this.#failure.reject(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => {
      if (!host.isEnding) this.#failure.reject(new Error(`the ${this.name} thread ended with code ${code}`));
      ended.resolve();
    });
    return host;
  }

  async #leave(host: Host): Promise<void> {
    if (--host.parts > 0) return;
    if (this.#host === host) this.#host = null;
    host.isEnding = true;
    const message: ToSharedThread = { kind: 'end' };
    host.worker.postMessage(message);
    await host.ended;
  }
}

/** A message without the id that `ask` gives it. */
type Unsent<Message> = Message extends unknown ? Omit<Message, 'id'> : never;

export interface FromPart {
  readonly kind: string;
  readonly id?: number;
}

/** One database's part of a thread, seen from the main thread: asks it and gets its answers. */
export class Part<To extends { kind: string }, From extends FromPart> {
  readonly #name: string;
  readonly #port: MessagePort;
  readonly #onEvent: (message: From) => void;
  readonly #leave: () => Promise<void>;
  readonly #waiting = new Map<number, { resolve: (answer: From) => void; reject: (error: Error) => void }>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #stopped: Promise<void> | null = null;
  #nextId = 1;

  constructor(name: string, port: MessagePort, onEvent: (message: From) => void, leave: () => Promise<void>) {
    this.#name = name;
    this.#port = port;
    this.#onEvent = onEvent;
    this.#leave = leave;
    this.#ready.promise.catch(() => undefined);
    port.on('message', (message: From | FromOpening) => this.#receive(message));
    port.on('close', () => {
      this.#ready.reject(stoppedError());
      for (const { reject } of this.#waiting.values()) reject(stoppedError());
      this.#waiting.clear();
      this.#closed.resolve();
    });
  }

  /** Resolves once the part has opened its files; rejects where it cannot, and is to be stopped then, too. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Sends `message` with an id and resolves to the answer that carries it. */
  ask<Answer extends From>(message: Unsent<To>): Promise<Answer> {
    if (this.#stopped !== null) return Promise.reject(stoppedError());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (answer) => resolve(answer as Answer), reject });
      post(this.#port, { ...message, id });
    });
  }

  /** Lets the part finish what it has in hand and write it down. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    post(this.#port, { kind: 'stop' });
    await this.#closed.promise;
    await this.#leave();
  }

  #receive(message: From | FromOpening): void {
    if (message.kind === 'ready') this.#ready.resolve();
    else if (message.kind === 'unopened') this.#ready.reject(new Error((message as { message: string }).message));
    else if (!('id' in message) || message.id === undefined) this.#onEvent(message as From);
    else {
      const waiting = must(this.#waiting.get(message.id), `the ${this.#name} thread answers what it was asked`);
      this.#waiting.delete(message.id);
      waiting.resolve(message);
    }
  }
}

function stoppedError(): PgError {
  return new PgError('object_not_in_prerequisite_state', 'the CDC engine is stopping');
}
