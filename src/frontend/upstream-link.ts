import { PgError } from '../postgres/sqlstate.ts';
import type { Channel, Opening } from '../upstream/channel.ts';
import { RefusedError, UpstreamUnreachableError } from '../upstream/failure.ts';
import type { SessionUpstream, Whereabouts } from '../upstream/session-upstream.ts';
import { decodeReport } from '../wire/backend-messages.ts';
import { BACKEND } from '../wire/message-type.ts';
import { UpstreamError } from './question.ts';
import { HIGH_WATER_BYTES } from './sockets.ts';

/** A session's connection to the upstream, the startup packet sent; what has come is read from the channel. */
export interface UpstreamLink {
  readonly channel: Channel;
  readonly whereabouts: Whereabouts;
}

export interface OpenLinkOptions {
  readonly upstream: SessionUpstream;
  readonly packet: Buffer;
  readonly readBuffer: Buffer;
  readonly opening: Opening;
}

/**
 * Connects and sends the startup packet. Where another way or another server remains, the first answer is waited for:
 * a refusal that they may mend is never shown to the client. Rejects with `UpstreamError` (the server's own refusal), or
 * FATAL 08006 with each server's name and what is wrong with it.
 */
export async function openLink(options: OpenLinkOptions): Promise<UpstreamLink> {
  const { upstream, packet, readBuffer, opening } = options;
  const channelOptions = { readBuffer, allowHalfOpen: true, writableHighWaterMark: HIGH_WATER_BYTES };
  try {
    return await upstream.open(channelOptions, opening, async ({ channel, host, endpoint }, isLast) => {
      channel.socket.write(packet);
      const { isEncrypted } = channel;
      // Some of TLS's errors come only now: the server has looked at our certificate.
      if (!isLast || isEncrypted) await awaitAnswer(channel);
      return { channel, whereabouts: { host, endpoint, isEncrypted } };
    });
  } catch (error) {
    throw error instanceof UpstreamUnreachableError ? unreachable(error) : error;
  }
}

function unreachable(error: UpstreamUnreachableError): PgError {
  return new PgError('connection_failure', error.message, { severity: 'FATAL', cause: error });
}

async function awaitAnswer(channel: Channel): Promise<void> {
  const bytes = await channel.peek((come) => firstAnswer(come) !== null);
  const answer = firstAnswer(bytes);
  if (answer === null || answer.end > bytes.length) return;
  const message = bytes.subarray(answer.start, answer.end);
  if (message[0] === BACKEND.errorResponse) {
    const fields = decodeReport(message);
    throw new RefusedError(fields.get('C')?.toString('latin1') ?? '', new UpstreamError(fields));
  }
}

/** As libpq: a longer one is none. */
const MAX_ANSWER_BYTES = 30_000;
const HEADER_BYTES = 5;

/**
 * The message that says how it goes on: what may come before it (the protocol's version is negotiated, a notice) is
 * passed over. Null: it has not come whole. What is not the protocol is an answer too; its end is out of reach.
 */
function firstAnswer(bytes: Buffer): { readonly start: number; readonly end: number } | null {
  let start = 0;
  for (;;) {
    if (bytes.length - start < HEADER_BYTES) return null;
    const type = bytes[start];
    const length = bytes.readUInt32BE(start + 1);
    const end = start + 1 + length;
    const isMessage = length >= HEADER_BYTES - 1 && length <= MAX_ANSWER_BYTES;
    if (!isMessage) return { start, end: Number.POSITIVE_INFINITY };
    if (end > bytes.length) return null;
    if (type !== BACKEND.negotiateProtocolVersion && type !== BACKEND.noticeResponse) return { start, end };
    start = end;
  }
}
