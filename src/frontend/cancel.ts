import type { Logger } from '../base/logger.ts';
import { Opening } from '../upstream/channel.ts';
import { causeOf } from '../upstream/failure.ts';
import type { SessionUpstream, Whereabouts } from '../upstream/session-upstream.ts';

const READ_BYTES = 1_024;

export interface CancelForwarding {
  readonly upstream: SessionUpstream;
  /** Where the session is that is to be cancelled; null: not one of ours, as far as we know. */
  readonly session: Whereabouts | null;
  readonly packet: Buffer;
  readonly logger: Logger;
}

/**
 * Gives a client's cancel request to the session's server on a connection of its own, encrypted if the session is.
 * Resolves when the server has closed it, which it does without an answer, whether the key was right or not: only then
 * may the client go on, or the request could hit what it sends next. Does not reject.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function forwardCancel({ upstream, session, packet, logger }: CancelForwarding): Promise<void> {
  const channel = { readBuffer: Buffer.allocUnsafeSlow(READ_BYTES) };
  try {
    // The time limit of connecting holds to the end.
    await upstream.openBeside(session, channel, new Opening(), async (link) => {
      const { socket } = link.channel;
      link.channel.read(() => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(packet);
      await closed;
    });
  } catch (error) {
    logger.warn({ cause: causeOf(error) }, 'could not forward a cancel request');
  }
}
