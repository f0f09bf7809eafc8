import type { MessageSchemas } from '../formats/message-encoder.ts';

/*
  An event as its messages, as it is kept on disk:

    kept     => bytes(schemas, as JSON) Byte(how many) message*
    message  => bytes(key) bytes(value) bytes(value of the thin event)
    bytes    => Int32(length, or -1 for none) Byten

  Integers are big-endian.
*/

/** One message of an event that is kept. */
export interface KeptMessage {
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly thin: Buffer;
}

export interface KeptMessages {
  readonly schemas: MessageSchemas;
  readonly messages: readonly KeptMessage[];
}

export function encodeKept({ schemas, messages }: KeptMessages): Buffer {
  return Buffer.concat([
    ...part(Buffer.from(JSON.stringify(schemas))),
    Buffer.from([messages.length]),
    ...messages.flatMap(({ key, value, thin }) => [...part(key), ...part(value), ...part(thin)]),
  ]);
}

function part(bytes: Buffer | null): readonly Buffer[] {
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes?.length ?? -1);
  return bytes === null ? [length] : [length, bytes];
}

export function decodeKept(kept: Uint8Array): KeptMessages {
  const bytes = Buffer.from(kept.buffer, kept.byteOffset, kept.byteLength);
  let at = 0;
  const next = (): Buffer | null => {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length === -1) return null;
    at += length;
    return bytes.subarray(at - length, at);
  };
  const schemas = JSON.parse(next()!.toString('utf8')) as MessageSchemas;
  const count = bytes.readUInt8(at++);
  const messages = Array.from({ length: count }, () => ({ key: next(), value: next()!, thin: next()! }));
  return { schemas, messages };
}
