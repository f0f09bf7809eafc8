import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cancel, Clock } from '../base/clock.ts';
import type { Transformed, Transformer } from '../delivery/transformer.ts';
import type { StreamTransform } from '../model/stream.ts';
import { entryUrl } from './thread.ts';
import type { FromTransformProcess, ToTransformProcess } from './transform-messages.ts';

/** How long one body may take; a template that loops for ever ends here. */
const DEADLINE_MS = 500;
/** Those that have run into the deadline, or out of memory, rest for so many times as long. */
const REST_TIMES = 9;
/** Bodies are transformed by so many processes. */
const PROCESSES = 2;
/** How long a process may take to begin; it is not the transform's fault. */
const START_MS = 30_000;
/** How long a process that has nothing to do is kept. */
const IDLE_MS = 60_000;
/** Streams that something is remembered of; those that are dropped are not told of. */
const MAX_KNOWN = 10_000;
/** Of V8, whose manual page is `node --v8-options`: MB of old objects, and of each half of the young ones. */
const LIMITS = ['--max-old-space-size=128', '--max-semi-space-size=8'];
/** How V8 ends a process that wants more memory than there is, or a larger object than can be. */
const MEMORY_SIGNALS: ReadonlySet<string | null> = new Set(['SIGABRT', 'SIGTRAP', 'SIGILL']);

interface Job {
  readonly streamId: string;
  readonly message: ToTransformProcess;
  readonly resolve: (transformed: Transformed) => void;
}

/** One process, and the job that it has. */
interface Seat {
  readonly child: ChildProcess;
  readonly hasEnded: Promise<void>;
  isReady: boolean;
  job: Job | null;
  stopTimer: Cancel;
}

/**
 * Processes that transforms run in, started when there is something to do. A stream has one of them at a time, in turn with the
 * others. Those that have not shown yet that they come to an end share one process, and those that were found not to have at
 * most a tenth of its time, all together. So a stream costs the others nothing, whatever its author has written.
 */
export class TransformPool implements Transformer {
  readonly #clock: Clock;
  readonly #seats = new Set<Seat>();
  /** Jobs that wait, by stream, of each no more than it has requests under way: who came first, or had its turn longest ago, is first. */
  readonly #waiting = new Map<string, Job[]>();
  /** Streams whose last body was transformed in time. */
  readonly #trusted = new Set<string>();
  /** Streams whose last body took too long, or too much. They rest until then. */
  readonly #failed = new Set<string>();
  #restsUntilMs = -Infinity;
  #stopRest: Cancel = () => undefined;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  transform(streamId: string, transform: StreamTransform, body: Buffer, maxEventBytes: number): Promise<Transformed> {
    if (this.#isClosed) return Promise.resolve(STOPPING);
    return new Promise((resolve) => {
      const job = { streamId, message: { transform, body, maxEventBytes }, resolve };
      const jobs = this.#waiting.get(streamId);
      if (jobs === undefined) this.#waiting.set(streamId, [job]);
      else jobs.push(job);
      this.#fill();
    });
  }

  /** Ends the processes; what waits has a fault. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopRest();
    const jobs = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const { resolve } of jobs) resolve(STOPPING);
    await Promise.all([...this.#seats].map((seat) => this.#end(seat, STOPPING)));
  }

  #fill(): void {
    if (this.#isClosed) return;
    for (let job = this.#next(); job !== null; job = this.#next()) {
      const seat = this.#freeSeat();
      if (seat === null) return;
      this.#take(job);
      seat.job = job;
      if (seat.isReady) this.#start(seat, job);
    }
    this.#fillAfterRest();
  }

  /** The first job whose stream may have a process now. */
  #next(): Job | null {
    const nowMs = this.#clock.monotonicMs();
    const busy = new Set([...this.#seats].map(({ job }) => job?.streamId));
    const isStrangerBusy = [...busy].some((streamId) => streamId !== undefined && !this.#trusted.has(streamId));
    for (const [streamId, [job]] of this.#waiting) {
      if (busy.has(streamId)) continue;
      if (isStrangerBusy && !this.#trusted.has(streamId)) continue;
      if (this.#restsUntilMs > nowMs && this.#failed.has(streamId)) continue;
      return job!;
    }
    return null;
  }

  #take(job: Job): void {
    const jobs = this.#waiting.get(job.streamId)!;
    jobs.shift();
    this.#waiting.delete(job.streamId);
    if (jobs.length > 0) this.#waiting.set(job.streamId, jobs);
  }

  #fillAfterRest(): void {
    this.#stopRest();
    const restMs = this.#restsUntilMs - this.#clock.monotonicMs();
    if (restMs > 0 && this.#waiting.size > 0) this.#stopRest = this.#clock.after(restMs, () => this.#fill());
  }

  #freeSeat(): Seat | null {
    for (const seat of this.#seats) if (seat.job === null) return this.#woken(seat);
    return this.#seats.size < PROCESSES ? this.#open() : null;
  }

  #woken(seat: Seat): Seat {
    seat.stopTimer();
    return seat;
  }

  #open(): Seat {
    const child = fork(fileURLToPath(entryUrl('transform-process')), {
      // What a template may come to see holds no password.
      env: {},
      execArgv: LIMITS,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const { promise: hasEnded, resolve: end } = Promise.withResolvers<void>();
    const seat: Seat = { child, hasEnded, isReady: false, job: null, stopTimer: () => undefined };
    this.#seats.add(seat);
    seat.stopTimer = this.#clock.after(START_MS, () => void this.#fail(seat, 'its process does not start'));
    child.on('message', (message: FromTransformProcess) => this.#receive(seat, message));
    child.on('error', (error) => {
      if (child.pid === undefined) end();
      void this.#fail(seat, error.message);
    });
    child.on('exit', (_code, signal) => {
      end();
      const isMemory = MEMORY_SIGNALS.has(signal);
      void this.#fail(seat, isMemory ? 'it wants more memory than it may have' : 'its process has ended');
    });
    return seat;
  }

  #start(seat: Seat, { message }: Job): void {
    seat.stopTimer = this.#clock.after(DEADLINE_MS, () => {
      void this.#fail(seat, `it takes longer than ${DEADLINE_MS} ms`);
    });
    // What cannot be sent goes to a process that has ended, which its exit tells.
    seat.child.send(message, () => undefined);
  }

  #receive(seat: Seat, message: FromTransformProcess): void {
    if (message.kind === 'ready') {
      seat.isReady = true;
      seat.stopTimer();
      if (seat.job !== null) this.#start(seat, seat.job);
      return;
    }
    const { job } = seat;
    if (job === null) return;
    seat.stopTimer();
    seat.job = null;
    seat.stopTimer = this.#clock.after(IDLE_MS, () => void this.#end(seat, fault('idle')));
    this.#trust(job.streamId);
    job.resolve(message.kind === 'done' ? { body: Buffer.from(message.body) } : message);
    this.#fill();
  }

  #trust(streamId: string): void {
    this.#failed.delete(streamId);
    if (this.#trusted.size >= MAX_KNOWN) this.#trusted.clear();
    this.#trusted.add(streamId);
  }

  /** The process is lost, and with it the body that it had. */
  async #fail(seat: Seat, reason: string): Promise<void> {
    if (!this.#seats.has(seat)) return;
    const { job } = seat;
    if (job !== null) {
      this.#trusted.delete(job.streamId);
      if (this.#failed.size >= MAX_KNOWN) this.#failed.clear();
      this.#failed.add(job.streamId);
      this.#restsUntilMs = this.#clock.monotonicMs() + REST_TIMES * DEADLINE_MS;
    }
    await this.#end(seat, fault(reason));
    this.#fill();
  }

  async #end(seat: Seat, transformed: Transformed): Promise<void> {
    this.#seats.delete(seat);
    seat.stopTimer();
    const { job } = seat;
    seat.job = null;
    seat.child.kill('SIGKILL');
    await seat.hasEnded;
    job?.resolve(transformed);
  }
}

const STOPPING = fault('walhook is stopping');

function fault(reason: string): Transformed {
  return { fault: reason, offset: null, isSyntax: false };
}
