import { decodeDefinition } from './definition-json.ts';
import type { Effect, Objects } from './objects.ts';

/**
 * The databases whose streams the effects change, or what these refer to: any may use an endpoint or a secret. `objects` are
 * those before them, `all` the databases that have streams.
 */
export function touchedDatabases(
  effects: readonly Effect[],
  { streams, secrets }: Objects,
  all: readonly string[],
): ReadonlySet<string> {
  const touched = effects.flatMap((effect): string | readonly string[] => {
    switch (effect.kind) {
      case 'put-stream':
        return decodeDefinition(effect.definition).database;
      case 'delete-stream':
        // What made one that came and goes with them is among them.
        return streams.byId(effect.id)?.definition.database ?? [];
      case 'put-endpoint':
      case 'delete-endpoint':
        return all;
      case 'put-secret':
        return effect.secret.ownedBy === null ? all : [];
      case 'delete-secret':
        return secrets.byId(effect.id)?.ownedBy === null ? all : [];
      case 'record':
        return [];
    }
  });
  return new Set(touched);
}
