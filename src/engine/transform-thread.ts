import { parentPort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { compileTransform, type Transform, TransformError, transformBody } from '../formats/transform.ts';
import type { FromTransformThread, ToTransformThread } from './transform-messages.ts';
import { post } from './thread.ts';

/** Compiled transforms that are kept. */
const MAX_KEPT = 64;

const port = must(parentPort, 'this is a thread');
const kept = new Map<string, Transform>();

function compiled(transform: ToTransformThread['transform']): Transform {
  const key = `${transform.language} ${transform.text}`;
  let found = kept.get(key);
  if (found === undefined) {
    found = compileTransform(transform);
    if (kept.size >= MAX_KEPT) for (const oldest of kept.keys()) if (kept.delete(oldest)) break;
    kept.set(key, found);
  }
  return found;
}

/** One body at a time: who asks too much of it ends the thread. */
port.on('message', ({ transform, body, maxEventBytes }: ToTransformThread) => {
  let isSyntax = true;
  try {
    const apply = compiled(transform);
    isSyntax = false;
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    post<FromTransformThread>(port, { kind: 'done', body: transformBody(apply, bytes, maxEventBytes) });
  } catch (error) {
    if (!(error instanceof TransformError)) throw error;
    post<FromTransformThread>(port, { kind: 'fault', fault: error.message, offset: error.offset, isSyntax });
  }
});
post<FromTransformThread>(port, { kind: 'ready' });
