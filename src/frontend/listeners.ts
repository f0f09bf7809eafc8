import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Address } from './sockets.ts';

/** Takes a connection, from which nothing has been read; `isLocal`: by a unix socket. */
export type OnConnection = (socket: Socket, isLocal: boolean) => void;

export interface Listeners {
  /** Where they listen, in the order asked for; ports are those that were given for 0. */
  readonly addresses: readonly Address[];
  /** Takes no more connections; those that there are go on. */
  close(): void;
}

/** Listens at all addresses. Rejects, and listens at none, where it cannot at one. */
export async function listenAll(
  addresses: readonly Address[],
  onConnection: OnConnection,
  onError: (error: Error) => void,
): Promise<Listeners> {
  const servers: Server[] = [];
  const close = (): void => servers.forEach((server) => server.close());
  try {
    const bound: Address[] = [];
    for (const address of addresses) {
      const isLocal = 'path' in address;
      if (isLocal) await removeLeftover(address.path);
      const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) =>
        onConnection(socket, isLocal),
      );
      await listening(server, address);
      server.on('error', onError);
      servers.push(server);
      bound.push(isLocal ? address : addressOf(server));
    }
    return { addresses: bound, close };
  } catch (error) {
    close();
    throw error;
  }
}

function listening(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // As Postgres's `unix_socket_permissions`: whoever reaches the folder may connect, and then has to say who he is.
    const where =
      'path' in address
        ? { path: address.path, readableAll: true, writableAll: true }
        : { host: address.host, port: address.port };
    server.listen({ ...where, backlog: 1024 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function addressOf(server: Server): Address {
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port };
}

/** The file of a process that was killed stays behind. One that something listens at, or that is no socket, is left alone. */
async function removeLeftover(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code === 'ECONNREFUSED') unlinkSync(path);
}
