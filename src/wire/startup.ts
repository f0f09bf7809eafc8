import { PgError } from '../postgres/sqlstate.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/*
  Before any message with a type byte, a client sends packets without one:
    Int32   length of the packet, itself included
    Int32   code: one of three requests, or the protocol version (major in the high half)

  StartupMessage   code 196608 (3.0), 196610 (3.2), …; then name and value as Strings, again and again; Byte1 0
  CancelRequest    code 80877102; Int32 process id; Byte n secret key (4 bytes in 3.0, up to 256 in 3.2)
  SSLRequest       code 80877103
  GSSENCRequest    code 80877104
  https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-STARTUPMESSAGE
*/

const CODE = { cancel: 80_877_102, ssl: 80_877_103, gssenc: 80_877_104 } as const;

/** As in Postgres (`MAX_STARTUP_PACKET_LENGTH`). */
export const MAX_STARTUP_PACKET_BYTES = 10_000;
const LEAST_STARTUP_PACKET_BYTES = 8;

export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  /** `key` is the process id and the secret together, as BackendKeyData has them. */
  | { readonly kind: 'cancel'; readonly key: Buffer }
  /** Parameters in the order sent, byte for byte as Latin-1; none where the version is not 3 and its layout unknown. */
  | {
      readonly kind: 'startup';
      readonly major: number;
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
    };

/**
 * The whole length of the packet that `bytes` begins with, or null while it cannot be told. 08P01 where it is
 * impossible: what came was not the protocol.
 */
export function startupPacketLength(bytes: Buffer): number | null {
  if (bytes.length < 4) return null;
  const length = bytes.readUInt32BE(0);
  if (length < LEAST_STARTUP_PACKET_BYTES || length > MAX_STARTUP_PACKET_BYTES) {
    throw new PgError('protocol_violation', 'invalid length of startup packet', { severity: 'FATAL' });
  }
  return length;
}

/** `packet` is whole. 08P01 where its layout is not what its code says. */
export function decodeStartupPacket(packet: Buffer): StartupPacket {
  const reader = new Reader(packet, 4);
  const code = reader.uint32();
  if (code === CODE.cancel) return { kind: 'cancel', key: Buffer.from(reader.bytes(reader.left)) };
  if (code === CODE.ssl) return { kind: 'ssl' };
  if (code === CODE.gssenc) return { kind: 'gssenc' };
  const major = code >>> 16;
  const minor = code & 0xffff;
  const parameters = new Map<string, string>();
  if (major !== 3) return { kind: 'startup', major, minor, parameters };
  for (;;) {
    const name = reader.name();
    if (name === '') break;
    parameters.set(name, reader.name());
  }
  return { kind: 'startup', major, minor, parameters };
}

export function encodeSslRequest(): Buffer {
  return new Writer(8).beginUntyped().int32(CODE.ssl).end().finish();
}

export function encodeGssencRequest(): Buffer {
  return new Writer(8).beginUntyped().int32(CODE.gssenc).end().finish();
}

/** `key`: the body of the BackendKeyData message. */
export function encodeCancelRequest(key: Uint8Array): Buffer {
  return new Writer(16).beginUntyped().int32(CODE.cancel).bytes(key).end().finish();
}

export function encodeStartupMessage(parameters: Readonly<Record<string, string>>, minor = 0): Buffer {
  const writer = new Writer().beginUntyped().int16(3).int16(minor);
  for (const [name, value] of Object.entries(parameters)) writer.cstring(name).cstring(value);
  return writer.uint8(0).end().finish();
}
