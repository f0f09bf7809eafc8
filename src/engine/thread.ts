import { Worker, type MessagePort, type ResourceLimits, type Transferable } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { PgError } from '../postgres/sqlstate.ts';

/**
 * Chunks and bodies live outside the heap; what is inside is short-lived and small, apart from the events that wait,
 * whose number is limited. V8 sizes its generations by what they may become: with the machine's default it lets some
 * hundred megabytes more of garbage stand before it collects.
 */
const HEAP_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 12, maxOldGenerationSizeMb: 1_024 };

/** The file of a thread's entry, beside this one: `.ts` when the sources run, `.js` when they are built. */
function entryUrl(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
}

/** A message without the id that `ask` gives it. */
type Unsent<Message> = Message extends unknown ? Omit<Message, 'id'> : never;

interface FromThread {
  readonly kind: string;
  readonly id?: number;
}

/**
 * One worker thread of the data plane, seen from the main thread: asks it and gets its answers. A thread that throws
 * has met a programmer's error; `failed` rejects, and the process ends.
 */
export class Thread<To extends { kind: string }, From extends FromThread> {
  readonly name: string;
  /** Never resolves; rejects when the thread ends by itself. */
  readonly failed: Promise<never>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (answer: From) => void; reject: (error: Error) => void }>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  #isStopping = false;
  #nextId = 1;

  constructor(name: string, workerData: object, transferList: readonly Transferable[]) {
    this.name = name;
    this.#worker = new Worker(entryUrl(`${name}-thread`), {
      name,
      workerData,
      transferList: [...transferList],
      resourceLimits: HEAP_LIMITS,
    });
    const failure = Promise.withResolvers<never>();
    this.failed = failure.promise;
    this.failed.catch(() => undefined);
    this.#worker.on('message', (message: From) => this.#receive(message));
    this.#worker.on('error', (error) => failure.reject(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => {
      this.#stopped.resolve();
      this.#ready.reject(new Error(`the ${name} thread ended with code ${code}`));
      for (const { reject } of this.#waiting.values()) reject(stoppedError());
      this.#waiting.clear();
      if (!this.#isStopping) failure.reject(new Error(`the ${name} thread ended with code ${code}`));
    });
    this.#ready.promise.catch(() => undefined);
  }

  /** Resolves once the thread has opened its files. */
  ready(): Promise<void> {
    return Promise.race([this.#ready.promise, this.failed]);
  }

  /** Sends `message` with an id and resolves to the answer that carries it. */
  ask<Answer extends From>(message: Unsent<To>): Promise<Answer> {
    if (this.#isStopping) return Promise.reject(stoppedError());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (answer) => resolve(answer as Answer), reject });
      this.#worker.postMessage({ ...message, id });
    });
  }

  /** Lets the thread finish what it has in hand and write it down. */
  async stop(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      this.#worker.postMessage({ kind: 'stop' });
    }
    await this.#stopped.promise;
  }

  #receive(message: From): void {
    if (message.kind === 'ready') this.#ready.resolve();
    if (message.id === undefined) return;
    const waiting = must(this.#waiting.get(message.id), `the ${this.name} thread answers what it was asked`);
    this.#waiting.delete(message.id);
    waiting.resolve(message);
  }
}

function stoppedError(): PgError {
  return new PgError('object_not_in_prerequisite_state', 'the CDC engine is stopping');
}

/** Sends to the other data-plane thread, typed. */
export function post<Message>(port: MessagePort, message: Message, transfer: readonly Transferable[] = []): void {
  port.postMessage(message, [...transfer]);
}
