import { parentPort, type MessagePort, type Transferable } from 'node:worker_threads';
import { must } from '../base/assert.ts';

/** The file of a thread's entry, beside this one: `.ts` when the sources run, `.js` when they are built. */
export function entryUrl(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
}

/** Sends to another thread, typed. */
export function post<Message>(port: MessagePort, message: Message, transfer: readonly Transferable[] = []): void {
  port.postMessage(message, [...transfer]);
}

/** To a shared thread. */
export type ToSharedThread =
  | { readonly kind: 'open'; readonly data: unknown; readonly main: MessagePort }
  | { readonly kind: 'end' };

/** What a part says before anything else: that it has opened its files, or why it could not. */
export type FromOpening = { readonly kind: 'ready' } | { readonly kind: 'unopened'; readonly message: string };

/**
 * In a shared thread: opens a part of it for each database that the main thread asks for, with a port to talk over. `open`
 * throws where the part cannot be begun; what it returns runs the part to its end. `end`: the last part has ended.
 */
export function serveParts<Data>(
  open: (data: Data, main: MessagePort) => () => Promise<void>,
  end: () => Promise<void> = () => Promise.resolve(),
): void {
  const parent = must(parentPort, 'this is a thread');
  parent.on('message', (message: ToSharedThread) => {
    if (message.kind === 'open') void runPart(message.main, () => open(message.data as Data, message.main));
    else void end().then(() => parent.close());
  });
}

/** What a part throws once it runs is a bug: nobody catches it, and the thread ends. */
async function runPart(main: MessagePort, open: () => () => Promise<void>): Promise<void> {
  let run: () => Promise<void>;
  try {
    run = open();
  } catch (error) {
    post<FromOpening>(main, { kind: 'unopened', message: error instanceof Error ? error.message : String(error) });
    main.close();
    return;
  }
  post<FromOpening>(main, { kind: 'ready' });
  await run();
  main.close();
}
