import type { LoadedSetting } from '../config/load.ts';
import { environmentName } from '../config/options.ts';

/** A configuration as a file that `--config` takes; what is secret, or not set, is a comment in it. */
export function printConfig(settings: readonly LoadedSetting[]): string {
  const lines = settings
    .filter(({ name }) => name !== 'config')
    .map(({ name, value, source }) => {
      const isSaid = value !== '' && value !== '***';
      return `${isSaid ? '' : '# '}${environmentName({ name })}=${quoted(value)} # ${source}`;
    });
  return `${lines.join('\n')}\n`;
}

/** As `util.parseEnv` reads it: a `#` begins a comment where nothing is around the value. */
function quoted(value: string): string {
  if (!/[#'"`\s\\]/.test(value)) return value;
  const quote = ["'", '"', '`'].find((one) => !value.includes(one)) ?? '"';
  return `${quote}${value}${quote}`;
}
