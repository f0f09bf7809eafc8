import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import type { LocalPostgres, LocalPostgresOptions } from '../../src/cli/local-postgres.ts';
import { Frontend, type FrontendOptions } from '../../src/frontend/frontend.ts';
import type { ServerInfo } from '../../src/model/server-info.ts';
import type { Address } from '../../src/frontend/sockets.ts';
import { SessionUpstream } from '../../src/upstream/session-upstream.ts';
import { plainUpstream } from '../support/upstreams.ts';
import { connect, startPostgres } from '../support/test-database.ts';
import { FakeStreams } from './fake-streams.ts';

/** What statements see of the process. */
export const TEST_INFO: ServerInfo = {
  version: '1.2.3',
  requireEndpoint: false,
  validate: false,
  settings: [
    {
      name: 'listen',
      value: '127.0.0.1:0',
      source: 'flag',
      text: 'Where it listens.',
      isReloadable: false,
      isPendingRestart: false,
    },
  ],
};

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** A frontend in this process, stopped when the file's tests are done. */
export interface Proxy {
  readonly frontend: Frontend;
  readonly streams: FakeStreams;
  readonly address: TcpAddress;
  /** The same URL as a server's, but through the frontend. */
  url(direct: string): string;
  /** Asks for the end, and resolves when it has come. */
  stop(): Promise<void>;
}

export async function startProxy(
  upstream: Address | SessionUpstream,
  options: Partial<FrontendOptions> = {},
): Promise<Proxy> {
  const streams = new FakeStreams();
  const frontend = new Frontend({
    listen: [{ host: '127.0.0.1', port: 0 }],
    upstream: upstream instanceof SessionUpstream ? upstream : plainUpstream(upstream),
    control: streams,
    info: TEST_INFO,
    clock: systemClock,
    logger: silentLogger,
    limits: { drainTimeoutMs: 100 },
    ...options,
  });
  const controller = new AbortController();
  const running = frontend.run(controller.signal);
  const [address] = (await frontend.addresses) as [TcpAddress];
  const stop = (): Promise<void> => {
    controller.abort();
    return running;
  };
  after(stop);
  return {
    frontend,
    streams,
    address,
    url: (direct) => {
      const url = new URL(direct);
      url.port = String(address.port);
      return url.href;
    },
    stop,
  };
}

/** A server that lets the role `postgres` in without a password (every other by SCRAM), and a frontend before it. */
export async function startPair(
  serverOptions: Partial<LocalPostgresOptions> = {},
  options: Partial<FrontendOptions> = {},
): Promise<{ server: LocalPostgres; direct: TcpAddress; proxy: Proxy }> {
  const server = await startPostgres(serverOptions);
  const hba = join(server.dataDir, 'pg_hba.conf');
  writeFileSync(hba, `host all postgres 127.0.0.1/32 trust\n${readFileSync(hba, 'utf8')}`);
  const client = await connect(server.url());
  await client.query('select pg_reload_conf()');
  await client.end();
  const direct = { host: '127.0.0.1', port: server.port };
  return { server, direct, proxy: await startProxy(direct, options) };
}
