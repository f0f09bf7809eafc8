import { Script } from 'node:vm';
import { must } from '../base/assert.ts';
import { compileTransform, type Transform, TransformError, transformBody } from '../formats/transform.ts';
import type { FromTransformProcess, ToTransformProcess } from './transform-messages.ts';

/*
  The process that transforms run in (`transform-pool.ts` starts it, and ends it when a body takes too long or too much). A
  thread would not do: an array that grows far over a thread's limit of memory at once takes the whole process with it.
*/

/** Compiled transforms that are kept. */
const MAX_KEPT = 64;
/** Who has started this process ends it long before; this is for when they are no more. */
const ORPHAN_TIMEOUT_MS = 5000;

const kept = new Map<string, Transform>();

function compiled(transform: ToTransformProcess['transform']): Transform {
  const key = `${transform.language} ${transform.text}`;
  let found = kept.get(key);
  if (found === undefined) {
    found = compileTransform(transform);
    if (kept.size >= MAX_KEPT) for (const oldest of kept.keys()) if (kept.delete(oldest)) break;
    kept.set(key, found);
  }
  return found;
}

function answer({ transform, body, maxEventBytes }: ToTransformProcess): FromTransformProcess {
  let isSyntax = true;
  try {
    const apply = compiled(transform);
    isSyntax = false;
    return { kind: 'done', body: transformBody(apply, Buffer.from(body), maxEventBytes) };
  } catch (error) {
    if (!(error instanceof TransformError)) throw error;
    return { kind: 'fault', fault: error.message, offset: error.offset, isSyntax };
  }
}

const send = must(process.send?.bind(process), 'this is a child process') as (message: FromTransformProcess) => void;

let work: () => void = () => undefined;
Object.defineProperty(globalThis, 'walhookWork', { value: () => work() });
const timed = new Script('walhookWork()');

process.on('message', (message: ToTransformProcess) => {
  work = () => send(answer(message));
  timed.runInThisContext({ timeout: ORPHAN_TIMEOUT_MS });
});
// A terminal's Ctrl-C is for who has started this process, and for them to pass on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit());
send({ kind: 'ready' });
