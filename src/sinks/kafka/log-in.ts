import type { Random } from '../../base/random.ts';
import type { Connection } from './connection.ts';
import { codeFault, SUCCESS } from './kafka-fault.ts';
import {
  API,
  readSaslAuthenticate,
  readSaslHandshake,
  type SaslAnswer,
  writeSaslAuthenticate,
  writeSaslHandshake,
} from './requests.ts';
import { ScramClient } from './scram.ts';

export interface SaslCredentials {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly user: string;
  readonly password: string;
}

/**
 * Logs in over a connection that was just opened. Resolves to how long it is good for, in ms; 0: for ever. Rejects with
 * `KafkaFault` or `ScramError`; what a broker says of a failure is not repeated: it may hold the user's name.
 */
export async function logIn(
  connection: Pick<Connection, 'request' | 'version'>,
  { mechanism, user, password }: SaslCredentials,
  random: Random,
  timeoutMs: number,
): Promise<number> {
  const handshake = writeSaslHandshake(mechanism.toUpperCase());
  const { error } = readSaslHandshake(await connection.request(API.saslHandshake, 1, handshake, timeoutMs));
  if (error !== SUCCESS) throw codeFault(error);
  const version = connection.version(API.saslAuthenticate);
  const exchange = async (bytes: Buffer): Promise<SaslAnswer> => {
    const body = writeSaslAuthenticate(bytes);
    const answer = readSaslAuthenticate(
      version,
      await connection.request(API.saslAuthenticate, version, body, timeoutMs),
    );
    if (answer.error !== SUCCESS) throw codeFault(answer.error);
    return answer;
  };
  if (mechanism === 'plain') {
    // https://www.rfc-editor.org/rfc/rfc4616#section-2
    return (await exchange(Buffer.from(`\0${user}\0${password}`, 'utf8'))).lifetimeMs;
  }
  const nonce = Buffer.from(random.bytes(24)).toString('base64');
  const client = new ScramClient(mechanism === 'scram-sha-256' ? 'sha256' : 'sha512', user, password, nonce);
  const challenge = await exchange(client.first());
  const last = await exchange(await client.final(challenge.bytes));
  client.verify(last.bytes);
  return last.lifetimeMs;
}
