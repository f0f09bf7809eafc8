import { isDeepStrictEqual } from 'node:util';
import type { Loaded, LoadedSetting } from '../config/load.ts';
import type { OptionSpec } from '../config/option-spec.ts';
import { SERVE_OPTIONS, type ServeConfig } from '../config/options.ts';
import type { Setting } from '../model/server-info.ts';

/** A configuration that has been read while another is in force. */
export type NextConfig = Pick<Loaded<typeof SERVE_OPTIONS>, 'values' | 'settings'>;

export interface Reloaded {
  /** What is in force from now on. */
  readonly values: ServeConfig;
  readonly settings: readonly Setting[];
  /** Names of options that have another value from now on. */
  readonly changed: readonly string[];
  /** Of those that would, and have to wait for a restart. */
  readonly pendingRestart: readonly string[];
}

/** A setting of what has been started with. */
export function inForce(setting: LoadedSetting): Setting {
  return { ...setting, isPendingRestart: false };
}

/** The same where nobody reads the configuration again. */
export function unreloadable(setting: LoadedSetting): LoadedSetting {
  return { ...setting, isReloadable: false };
}

/** What becomes of the configuration in force when another is read: options that may change have the new value, others the old. */
export function reloaded(values: ServeConfig, settings: readonly Setting[], next: NextConfig): Reloaded {
  const differs = new Map(
    Object.entries(SERVE_OPTIONS).map(([key, { name }]) => {
      const option = key as keyof ServeConfig;
      return [name, !isDeepStrictEqual(values[option], next.values[option])];
    }),
  );
  const merged = Object.entries<OptionSpec<unknown>>(SERVE_OPTIONS).map(([key, { reloads }]) => {
    const option = key as keyof ServeConfig;
    return [key, reloads === true ? next.values[option] : values[option]];
  });
  const nextByName = new Map(next.settings.map((setting) => [setting.name, setting]));
  const named = settings.filter(({ name }) => differs.get(name) === true);
  return {
    values: Object.fromEntries(merged) as ServeConfig,
    settings: settings.map((setting) => {
      const { name, isReloadable } = setting;
      const read = nextByName.get(name);
      if (isReloadable && read !== undefined) return inForce(read);
      return { ...setting, isPendingRestart: differs.get(name) === true };
    }),
    changed: named.flatMap(({ name, isReloadable }) => (isReloadable ? [name] : [])),
    pendingRestart: named.flatMap(({ name, isReloadable }) => (isReloadable ? [] : [name])),
  };
}
