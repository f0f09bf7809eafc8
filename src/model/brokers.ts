/** Where one broker of a cluster listens. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** Kafka's own. */
const DEFAULT_PORT = 9092;
const MAX_BROKERS = 100;
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?\.?))(?::(\d{1,5}))?$/;

/** Brokers that cannot be read. The message says which and why. */
export class BrokersError extends Error {
  override readonly name = 'BrokersError';
}

/** Reads `host:port[, …]`; an IPv6 address stands in brackets, and without a port it is 9092. Throws `BrokersError`. */
export function parseBrokers(text: string): readonly BrokerAddress[] {
  const addresses = text.split(',').map((part) => parseAddress(part.trim()));
  if (addresses.length > MAX_BROKERS) throw new BrokersError(`there are more than ${MAX_BROKERS} brokers`);
  return addresses;
}

function parseAddress(text: string): BrokerAddress {
  if (text === '') throw new BrokersError('a broker has no name');
  if (text.includes('://')) throw new BrokersError('a broker is host:port, without a scheme');
  if (text.includes('@')) throw new BrokersError('a broker is host:port: who logs in is said by sasl_username');
  const found = ADDRESS.exec(text);
  if (found === null) throw new BrokersError(`"${text.slice(0, 100)}" is not host:port`);
  const [, address, name, port] = found;
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (number < 1 || number > 65_535) throw new BrokersError(`${port} is no port`);
  return { host: (address ?? name)!, port: number };
}
