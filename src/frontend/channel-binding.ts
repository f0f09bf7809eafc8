import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { PgError } from '../postgres/sqlstate.ts';
import { SCRAM_PLUS, type SaslInitialResponse } from '../wire/sasl.ts';

/*
  SCRAM with channel binding proves that both ends see the same TLS channel, by the hash of the server's certificate
  (tls-server-end-point, RFC 5929). walhook's two channels pass for one only where both show the same certificate.
  https://www.postgresql.org/docs/current/sasl-authentication.html#SASL-SCRAM-SHA-256
*/

/** Why channel binding cannot work from the client through to the upstream; null where it can. */
export function bindingObstacle(client: Socket, upstream: Socket): string | null {
  if (!(client instanceof TLSSocket)) return 'The connection from the client to walhook is not encrypted.';
  if (!(upstream instanceof TLSSocket)) return 'The connection from walhook to the upstream server is not encrypted.';
  const shown = client.getX509Certificate();
  // getPeerX509Certificate would give a client's side the certificate once, and nobody ever after (Node 24).
  const seen = upstream.getPeerCertificate().raw as Buffer | undefined;
  if (shown && seen?.equals(shown.raw)) return null;
  return 'The certificate that walhook shows to clients is not the one that the upstream server shows to walhook.';
}

/** What the client is offered of what the upstream offers. FATAL 28000 where nothing of it is left. */
export function offerable(mechanisms: readonly string[], obstacle: string | null): readonly string[] {
  if (obstacle === null) return mechanisms;
  const left = mechanisms.filter((name) => name !== SCRAM_PLUS);
  if (left.length === 0 && mechanisms.length > 0) {
    throw refusal('the upstream server asks for SCRAM channel binding, which this connection cannot have', obstacle);
  }
  return left;
}

/**
 * FATAL 28000 for a client whose choice the upstream is bound to refuse with less to go by. `isWithheld`: the upstream
 * offered channel binding, and the client was not told.
 */
export function checkChoice(
  { mechanism, channelBinding }: SaslInitialResponse,
  obstacle: string | null,
  isWithheld: boolean,
): void {
  if (obstacle === null) return;
  if (mechanism === SCRAM_PLUS || channelBinding === 'p') {
    throw refusal('SCRAM channel binding does not work on this connection', obstacle);
  }
  // The upstream knows that it did offer it, and takes the flag for the sign of somebody between who hid that.
  if (channelBinding === 'y' && isWithheld) {
    throw refusal('SCRAM channel binding does not work on this connection, but the client is able to use it', obstacle);
  }
}

function refusal(message: string, obstacle: string): PgError {
  return new PgError('invalid_authorization_specification', message, {
    severity: 'FATAL',
    detail: obstacle,
    hint: "Connect with channel_binding=disable, give walhook the upstream server's certificate and key (--tls-cert, --tls-key), or leave one side unencrypted.",
  });
}
