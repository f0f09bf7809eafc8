import { loadTracing } from '../base/tracing.ts';
import { DataDirectory } from '../catalog/data-directory.ts';
import { ConfigError, loadOptions, type Loaded } from '../config/load.ts';
import { SERVE_OPTIONS } from '../config/options.ts';
import { PRINT_CONFIG } from './commands.ts';
import { printConfig } from './print-config.ts';
import { serveProblems } from './client-options.ts';
import { onHangup, stopSignal } from './signals.ts';
import { Walhook } from './walhook.ts';

/** `walhook serve`: fronts a PostgreSQL of the user's until it is told to stop; or tells with which options it would. */
export async function serveCommand(args: readonly string[]): Promise<number> {
  const load = (): Loaded<typeof SERVE_OPTIONS> =>
    loadOptions(SERVE_OPTIONS, args, process.env, [PRINT_CONFIG], serveProblems);
  const { values, rest, settings } = load();
  const unknown = rest.filter((word) => word !== PRINT_CONFIG);
  if (unknown.length > 0) throw new ConfigError(unknown.map((word) => `"${word}" is no option of serve`));
  if (rest.includes(PRINT_CONFIG)) {
    process.stdout.write(printConfig(settings));
    return 0;
  }
  const signal = stopSignal();
  const directory = DataDirectory.open(values.dataDir);
  try {
    const walhook = new Walhook(values, directory, settings, await loadTracing());
    onHangup(() => void walhook.reload(load));
    await walhook.run(signal);
  } finally {
    directory.close();
  }
  return 0;
}
