import { literalParts } from './placeholders.ts';
import type { SecretValue } from './secret.ts';
import type { SecretOptionKey } from './secret-use.ts';
import { SECRET_OPTION_KEYS } from './secret-use.ts';
import { ENDPOINT_OPTION_KEYS, KAFKA_OPTION_KEYS } from './stream-options.ts';
import type { StreamDefinition } from './stream.ts';

/** What a secret came to when it was looked up. */
export interface ResolvedSecret {
  /** Those that are valid now, newest first. */
  readonly values: readonly SecretValue[];
  /** Why the newest could not be had, or null. */
  readonly problem: string | null;
}

export type ResolvedSecrets = Partial<Readonly<Record<SecretOptionKey, ResolvedSecret>>>;

/**
 * A stream as delivery has it: its endpoint's name has become a URL, the endpoint's options stand where the stream does not
 * say otherwise, and its secrets have been looked up.
 */
export interface ResolvedStream extends StreamDefinition {
  /** Of each option that names a secret. One that is missing here was not looked up, and nothing is sent without it. */
  readonly secrets?: ResolvedSecrets;
}

/** Shorter texts are words of anything. */
const MIN_SECRET_LENGTH = 4;

/**
 * What of a stream must not be shown should somebody repeat it: its secrets, whole and by their parts (`name:value`,
 * `whsec_key`), the values of its headers, and those of its URL's query. Longer ones first: one may be part of another.
 */
export function secretTexts({
  secrets = {},
  options,
  destination,
}: Pick<ResolvedStream, 'secrets' | 'options' | 'destination'>): readonly string[] {
  const values = Object.values(secrets).flatMap((secret) => secret.values.map((value) => value.reveal()));
  const texts = values.flatMap((value) => {
    const text = value.toString('utf8');
    return [text, value.toString('base64'), text.slice(text.indexOf(':') + 1).trim(), text.replace(/^whsec_/, '')];
  });
  const query = destination.kind === 'webhook' ? [...new URL(destination.url).searchParams.values()] : [];
  const all = [...texts, ...Object.values(options.headers).flatMap(literalParts), ...query];
  return all.filter(({ length }) => length >= MIN_SECRET_LENGTH).toSorted((a, b) => b.length - a.length);
}

/** The text with `***` in the place of each of them, and of the beginning of one where the text ends in it. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => cutEnd(shown.replaceAll(secret, '***'), secret), text);
}

function cutEnd(text: string, secret: string): string {
  for (let length = secret.length - 1; length >= MIN_SECRET_LENGTH; length--) {
    if (text.endsWith(secret.slice(0, length))) return `${text.slice(0, -length)}***`;
  }
  return text;
}

/** Equal for streams whose requests are made alike. It holds secrets: compare it, and let go of it. */
export function requestKey({ destination, format, options, secrets = {} }: ResolvedStream): string {
  const shaping = [...ENDPOINT_OPTION_KEYS, ...KAFKA_OPTION_KEYS].map((key) => options[key]);
  const known = SECRET_OPTION_KEYS.map((key) => {
    const secret = secrets[key];
    return secret && [secret.problem, ...secret.values.map((value) => value.reveal().toString('base64'))];
  });
  return JSON.stringify([destination, format, shaping, known]);
}
