import type { Logger } from '../base/logger.ts';
import { walLevelFault } from '../capture/fault.ts';
import { Opening } from '../upstream/channel.ts';
import { hangUp, login } from '../upstream/connect.ts';
import { askServer } from '../upstream/questions.ts';
import type { Upstream } from '../upstream/upstream.ts';

const ANSWER_MS = 10_000;

/**
 * Says in the log, once, that the upstream's `wal_level` lets no stream be created: whoever has only begun should hear of it before
 * the first CREATE fails, as it takes a restart of the server. An upstream that cannot be asked now is not waited for. Never rejects.
 */
export async function warnOfWalLevel(upstream: Upstream, logger: Logger, signal: AbortSignal): Promise<void> {
  const opening = new Opening();
  const give = (): void => opening.abort(new Error('walhook stops'));
  signal.addEventListener('abort', give, { once: true });
  try {
    const { client } = await login(upstream, { opening, client: { query_timeout: ANSWER_MS } });
    const { walLevel } = await askServer(client).finally(() => hangUp(client));
    if (walLevel !== 'logical') {
      const { message, remedy } = walLevelFault(walLevel);
      logger.warn({ problem: message, remedy }, 'no stream can be created yet');
    }
    logger.debug({ walLevel }, 'the upstream was asked for its wal_level');
  } catch (err) {
    logger.debug({ err }, 'the upstream could not be asked for its wal_level');
  } finally {
    signal.removeEventListener('abort', give);
  }
}
