import { encodeSslRequest } from '../wire/startup.ts';
import type { Channel } from './channel.ts';
import { HandshakeError } from './failure.ts';
import { ALPN, type TlsContext } from './tls-context.ts';

const ACCEPTED = 'S'.charCodeAt(0);
const DECLINED = 'N'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);

/**
 * Asks for TLS and puts it on top, or resolves to false where the server has none: then it waits for a startup packet
 * in plain text. Rejects with `HandshakeError` where the server does not answer as one does, and with TLS's errors.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
 */
export async function negotiateTls(channel: Channel, tls: TlsContext, host: string): Promise<boolean> {
  const isDirect = tls.settings.sslNegotiation === 'direct';
  if (!isDirect && !(await askForTls(channel))) return false;
  const secure = await channel.encrypt(tls.options(host));
  // Without it anything could have accepted the handshake: https://www.postgresql.org/docs/current/protocol-flow.html
  if (isDirect && secure.alpnProtocol !== ALPN) {
    throw new HandshakeError('the server accepted TLS at once, but does not say that it speaks the protocol (ALPN)');
  }
  return true;
}

async function askForTls(channel: Channel): Promise<boolean> {
  channel.socket.write(encodeSslRequest());
  const answer = await channel.peek((bytes) => bytes.length > 0);
  const letter = answer[0];
  // Not shown, as in libpq: nobody has been authenticated who could have said it (CVE-2024-10977).
  if (letter === ERROR) throw new HandshakeError('the server answered the SSL request with an error');
  if (letter !== ACCEPTED && letter !== DECLINED) {
    throw new HandshakeError('the server did not answer the SSL request as PostgreSQL does');
  }
  // More may have been put in by whoever sits between (CVE-2021-23222): it would count as said under TLS.
  if (answer.length > 1) throw new HandshakeError('received unencrypted data after the answer to the SSL request');
  channel.replaceKept(Buffer.alloc(0));
  return letter === ACCEPTED;
}
