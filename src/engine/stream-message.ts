import type { ResolvedSecret, ResolvedSecrets, ResolvedStream } from '../model/resolved-stream.ts';
import { SecretValue } from '../model/secret.ts';
import type { SecretOptionKey } from '../model/secret-use.ts';
import type { StreamDefinition } from '../model/stream.ts';

/*
  A resolved stream on its way between threads. A `SecretValue` shows nothing of itself, to structured cloning either: here
  its bytes go openly, in memory, and nowhere else.
*/

export interface StreamMessage {
  readonly definition: StreamDefinition;
  readonly secrets: readonly SecretMessage[];
}

interface SecretMessage {
  readonly key: SecretOptionKey;
  readonly problem: string | null;
  readonly values: readonly Uint8Array[];
}

/** What `readStreamMessage` makes the same stream of again. */
export function streamMessage(definition: StreamDefinition, secrets: ResolvedSecrets): StreamMessage {
  const entries = Object.entries(secrets) as [SecretOptionKey, ResolvedSecret][];
  return {
    definition,
    secrets: entries.map(([key, { problem, values }]) => ({
      key,
      problem,
      // A copy in memory of its own: of a Buffer the whole pool would go along.
      values: values.map((value) => new Uint8Array(value.reveal())),
    })),
  };
}

export function readStreamMessage({ definition, secrets }: StreamMessage): ResolvedStream {
  const entries = secrets.map(({ key, problem, values }): [SecretOptionKey, ResolvedSecret] => [
    key,
    { problem, values: values.map((value) => new SecretValue(value)) },
  ]);
  return { ...definition, secrets: Object.fromEntries(entries) };
}
