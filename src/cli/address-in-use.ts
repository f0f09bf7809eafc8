import { describeAddress } from '../frontend/sockets.ts';

/** What chooses where something listens. */
export type AddressChoice = '--listen' | '--http' | '--receiver' | 'walhook listen HOST:PORT';

/**
 * What `listening` comes to. That an address is in use is said with what chooses another one, and with who may have it; `code` stays.
 */
export async function bound<T>(listening: Promise<T>, choice: AddressChoice): Promise<T> {
  try {
    return await listening;
  } catch (error) {
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (code !== 'EADDRINUSE' || address === undefined) throw error;
    // Of a unix socket the address is the path.
    const where = describeAddress(port !== undefined && port >= 0 ? { host: address, port } : { path: address });
    throw Object.assign(
      new Error(
        `${where} is in use, by another walhook or its demo perhaps: end that, or choose another with ${choice}`,
        {
          cause: error,
        },
      ),
      { code },
    );
  }
}
