import { FRONTEND } from '../../src/wire/message-type.ts';
import { Writer } from '../../src/wire/writer.ts';

/** What a client answers to the list of mechanisms; null is a response that there is none of. */
export function saslInitialResponse(mechanism: string, response: string | null): Buffer {
  const writer = new Writer().begin(FRONTEND.password).cstring(mechanism);
  if (response === null) writer.int32(-1);
  else writer.int32(Buffer.byteLength(response)).bytes(Buffer.from(response));
  return writer.end().finish();
}
