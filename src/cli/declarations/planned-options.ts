import { SecretValue } from '../../model/secret.ts';
import { DEFAULT_STREAM_OPTIONS, type OptionKey, type StreamOptions } from '../../model/stream-options.ts';
import type * as ast from '../../sql/ast.ts';
import { optionOf } from '../../sql/options.ts';
import { optionNode } from '../../sql/print-definition.ts';
import type { DeclarationPlanner } from './declaration-plan.ts';
import { compareOptions, incompleteOptions } from './hidden.ts';

/** Options that somebody has said. */
export type Said = Partial<StreamOptions>;

export interface ChangedOptions {
  readonly set: readonly OptionKey[];
  readonly reset: readonly OptionKey[];
}

/** Which options are to be set and which to be reset, for `have` to become `want`. */
export function changedOptions(planner: DeclarationPlanner, object: string, have: Said, want: Said): ChangedOptions {
  const set = keysOf(want).filter((key) => {
    const comparison = compareOptions(key, have[key], want[key]);
    return comparison === 'untold' ? planner.setsHidden(object, optionOf(key).name) : comparison === 'different';
  });
  planner.require(object, incompleteOptions(want, set));
  return { set, reset: keysOf(have).filter((key) => !(key in want)) };
}

/** The actions that do so: SET and RESET. */
export function optionActions(
  { set, reset }: ChangedOptions,
  want: Said,
): ReadonlyArray<Extract<ast.StreamAction, { kind: 'set-options' | 'reset-options' }>> {
  return [
    ...(reset.length === 0 ? [] : [{ kind: 'reset-options', names: reset.map(nameOf) } as const]),
    ...(set.length === 0 ? [] : [{ kind: 'set-options', options: set.map((key) => written(key, want)) } as const]),
  ];
}

function keysOf(options: Said): readonly OptionKey[] {
  return Object.keys(options) as OptionKey[];
}

function nameOf(key: OptionKey): ast.Name {
  return { text: optionOf(key).name, position: 1 };
}

/** With the values of secrets, which `optionNode` never tells. */
function written(key: OptionKey, want: Said): ast.Option {
  const value = want[key];
  if (!(value instanceof SecretValue)) return optionNode(key, { ...DEFAULT_STREAM_OPTIONS, ...want });
  return { name: nameOf(key), value: { kind: 'string', value: value.reveal().toString(), position: 1 } };
}
