/** Aborts on SIGINT or SIGTERM; a second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort(new Error(name));
    });
  }
  return controller.signal;
}

/** Calls `run` on each SIGHUP, which otherwise would end the process. */
export function onHangup(run: () => void): void {
  process.on('SIGHUP', run);
}
