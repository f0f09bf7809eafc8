import { BACKEND } from './message-type.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/*
  AuthenticationSASL    'R'  Int32 length; Int32 10; the mechanisms' names as Strings, the preferred one first; Byte1 0
  SASLInitialResponse   'p'  Int32 length; String mechanism; Int32 length of the response or -1; Byte n response
  https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-AUTHENTICATIONSASL
  https://www.postgresql.org/docs/current/sasl-authentication.html

  A SCRAM client's first response begins with its flag for channel binding and a comma (RFC 5802, section 7):
    n        it has none
    y        it has it, but believes that the server has not
    p=type   it uses it, with a mechanism whose name ends in -PLUS
*/

const HEADER_BYTES = 5;

/** The Int32 that says which of the Authentication… messages one is. */
export const AUTHENTICATION = { ok: 0, sasl: 10, saslFinal: 12 } as const;

/** The one mechanism of Postgres's with channel binding. */
export const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS';

/** The names that an AuthenticationSASL message offers, in its order. 08P01 where it is not laid out so. */
export function decodeSaslMechanisms(message: Buffer): readonly string[] {
  const reader = new Reader(message, HEADER_BYTES);
  reader.int32();
  const names: string[] = [];
  for (let name = reader.name(); name !== ''; name = reader.name()) names.push(name);
  return names;
}

export function encodeSaslMechanisms(names: readonly string[]): Buffer {
  const writer = new Writer().begin(BACKEND.authentication).int32(AUTHENTICATION.sasl);
  for (const name of names) writer.name(name);
  return writer.uint8(0).end().finish();
}

/** How a client means to bind the authentication to its channel; null for what is not SCRAM. */
export type ChannelBindingFlag = 'n' | 'y' | 'p' | null;

export interface SaslInitialResponse {
  readonly mechanism: string;
  readonly channelBinding: ChannelBindingFlag;
}

/** `message` is whole. 08P01 where it is not laid out so. */
export function decodeSaslInitialResponse(message: Buffer): SaslInitialResponse {
  const reader = new Reader(message, HEADER_BYTES);
  const mechanism = reader.name();
  const length = reader.int32();
  const response = length === -1 ? '' : reader.bytes(length).toString('latin1');
  reader.finish();
  const [flag] = /^(?:[ny](?=,)|p(?==))/.exec(response) ?? [null];
  return { mechanism, channelBinding: flag as ChannelBindingFlag };
}
