import type { Dispatcher } from 'undici';
import { type Answer, MAX_ANSWER_BYTES } from './outcome.ts';

/** What one sending of a request came to. */
export type ExchangeResult =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'error'; readonly error: Error; readonly untouched: boolean };

/**
 * One request and its answer, as undici's dispatcher tells of it. `onResult` is called exactly once; `onEnd` exactly once
 * when the connection is free for another request, which may be later: an exchange that is given up still has to be taken
 * down.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #nowMs: () => number;
  readonly #onResult: (result: ExchangeResult) => void;
  readonly #onEnd: () => void;
  #controller: Dispatcher.DispatchController | null = null;
  #abandoned: Error | null = null;
  #settled = false;
  #ended = false;
  #status = 0;
  #headAtMs: number | null = null;
  #retryAfter: string | null = null;
  #encoding: string | null = null;
  #chunks: Buffer[] | null = null;
  #bytes = 0;

  constructor(nowMs: () => number, onResult: (result: ExchangeResult) => void, onEnd: () => void) {
    this.#nowMs = nowMs;
    this.#onResult = onResult;
    this.#onEnd = onEnd;
  }

  /** When the head of the answer came; null: it has not. */
  get headAtMs(): number | null {
    return this.#headAtMs;
  }

  /** Gives the exchange up with `reason` as its error. */
  abandon(reason: Error): void {
    this.#settle({ kind: 'error', error: reason, untouched: false });
    this.#abandoned = reason;
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abandoned !== null) controller.abort(this.#abandoned);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // 1xx only announces the answer.
    if (status < 200) return;
    this.#headAtMs = this.#nowMs();
    this.#status = status;
    this.#retryAfter = first(headers['retry-after']);
    this.#encoding = first(headers['content-encoding']);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = MAX_ANSWER_BYTES - this.#bytes;
    const kept = chunk.length <= room ? chunk : chunk.subarray(0, room);
    this.#bytes += kept.length;
    (this.#chunks ??= []).push(kept);
    if (chunk.length <= room) return;
    this.#answer(true);
    controller.abort(new Error('the rest of the answer is not read'));
  }

  onResponseEnd(): void {
    this.#answer(false);
    this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#settle({ kind: 'error', error, untouched: this.#status === 0 });
    this.#end();
  }

  /** An answer that switches protocols was not asked for; the connection is of no more use. */
  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    status: number,
    _headers: object,
    socket: { destroy(): void },
  ): void {
    this.#status = status;
    this.#answer(false);
    socket.destroy();
    this.#end();
  }

  #answer(truncated: boolean): void {
    const body =
      this.#chunks === null ? EMPTY : this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = null;
    const answer = { status: this.#status, retryAfter: this.#retryAfter, encoding: this.#encoding, body, truncated };
    this.#settle({ kind: 'answer', answer });
  }

  #settle(result: ExchangeResult): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#onResult(result);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}

const EMPTY = Buffer.alloc(0);

function first(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}
