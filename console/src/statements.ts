/** The statements of the console, each once: what a page shows is what it runs. */

/** Names that no key word can be: with a `_` in them, but not as CURRENT_USER and its like have it. */
const PLAIN = /^(?!(?:current|session|system|local)_)(?=.*_)[a-z][a-z0-9_]*$/;

function name(text: string): string {
  return PLAIN.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return text.includes('\\')
    ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;
}

/** What is asked for at first, and where the answer is too large. */
export const SHOWN_ROWS = [50, 5, 1] as const;

export const SQL = {
  streams: 'SHOW CDC STREAMS',
  status: (stream: string) => `SHOW CDC STREAM STATUS ${name(stream)}`,
  definition: (stream: string) => `SHOW CREATE CDC STREAM ${name(stream)}`,
  tables: (stream: string) => `SHOW CDC STREAM TABLES ${name(stream)}`,
  options: (stream: string) => `SHOW CDC STREAM OPTIONS ${name(stream)}`,
  history: (stream: string) => `SHOW CDC STREAM HISTORY ${name(stream)}`,
  deliveries: (stream: string) => `SHOW CDC DELIVERIES FOR ${name(stream)} LIMIT 50`,
  deadLetters: (stream: string, rows: number) => `SHOW CDC DEAD LETTERS FOR ${name(stream)} LIMIT ${rows}`,
  peek: (stream: string, rows: number) => `PEEK CDC STREAM ${name(stream)} LIMIT ${rows}`,
  endpoints: 'SHOW CDC ENDPOINTS',
  endpointDefinition: (endpoint: string) => `SHOW CREATE CDC ENDPOINT ${name(endpoint)}`,
  slots: 'SHOW CDC SLOTS',
  check: 'CHECK CDC',
  settings: 'SHOW CDC SETTINGS',
  pause: (stream: string) => `ALTER CDC STREAM ${name(stream)} PAUSE`,
  resume: (stream: string) => `ALTER CDC STREAM ${name(stream)} RESUME`,
  restart: (stream: string) => `ALTER CDC STREAM ${name(stream)} RESTART`,
  resetCircuit: (stream: string) => `ALTER CDC STREAM ${name(stream)} RESET CIRCUIT`,
  testStream: (stream: string) => `TEST CDC STREAM ${name(stream)}`,
  testEndpoint: (endpoint: string) => `TEST CDC ENDPOINT ${name(endpoint)}`,
  retryAll: (stream: string) => `RETRY CDC DEAD LETTERS FOR ${name(stream)} ALL`,
  retry: (stream: string, id: string) => `RETRY CDC DEAD LETTERS FOR ${name(stream)} ID ${literal(id)}`,
  discardAll: (stream: string) => `DISCARD CDC DEAD LETTERS FOR ${name(stream)} ALL`,
  discard: (stream: string, id: string) => `DISCARD CDC DEAD LETTERS FOR ${name(stream)} ID ${literal(id)}`,
  createExample: `CREATE CDC STREAM orders_stream ON orders TO WEBHOOK 'https://example.com/hooks'`,
} as const;
