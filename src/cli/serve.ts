import { DataDirectory } from '../catalog/data-directory.ts';
import { ConfigError, loadOptions } from '../config/load.ts';
import { SERVE_OPTIONS } from '../config/options.ts';
import { clientTlsProblems } from './client-options.ts';
import { onHangup, stopSignal } from './signals.ts';
import { Walhook } from './walhook.ts';

/** `walhook serve`: fronts a PostgreSQL of the user's until it is told to stop. */
export async function serveCommand(args: readonly string[]): Promise<number> {
  const { values, rest, settings } = loadOptions(SERVE_OPTIONS, args, process.env, [], clientTlsProblems);
  if (rest.length > 0) throw new ConfigError(rest.map((word) => `"${word}" is no option of serve`));
  const signal = stopSignal();
  const directory = DataDirectory.open(values.dataDir);
  try {
    const walhook = new Walhook(values, directory, settings);
    onHangup(() => walhook.reload());
    await walhook.run(signal);
  } finally {
    directory.close();
  }
  return 0;
}
