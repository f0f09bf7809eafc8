import { readFileSync, realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import { HIDDEN_VALUE, MAX_SECRET_BYTES, SecretValue, type SecretInfo, type SecretSource } from '../model/secret.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { SecretRecord, SecretVersion } from './objects.ts';
import { placeOf, type SecretCipher } from './secret-cipher.ts';

/** Where values come from that are not stored: looked up whenever a secret is used. */
export interface SecretSources {
  variable(name: string): string | undefined;
  /** Throws where it cannot be read. */
  file(path: string): Buffer;
}

/** The values that are valid now, newest first, and what kept one from being had. */
export interface CurrentSecret {
  readonly values: readonly SecretValue[];
  readonly problem: string | null;
  /** Whether the newest is among them: an older one alone is of use to nobody but the receivers that still have it. */
  readonly hasNewest: boolean;
}

/** Variables with this beginning are walhook's own settings: the upstream's password is among them. */
const OWN_PREFIX = 'WALHOOK_';

/** The environment, and every file outside of the data directory. */
export function secretSources(
  environment: Readonly<Record<string, string | undefined>>,
  dataDir: string,
): SecretSources {
  return {
    variable: (name) => environment[name],
    file: (path) => {
      const real = realpathSync(path);
      if (`${real}${sep}`.startsWith(`${realpathSync(dataDir)}${sep}`)) throw new Error('it is of the data directory');
      const found = statSync(real);
      if (!found.isFile()) throw new Error('it is no file');
      if (found.size > MAX_SECRET_BYTES + 2) throw new Error(`it has more than ${MAX_SECRET_BYTES} bytes`);
      return readFileSync(real);
    },
  };
}

/** 22023 for a source that can never give a value: empty, too long, a relative path, a variable of walhook's own. */
export function checkSource(source: SecretSource): void {
  switch (source.kind) {
    case 'value':
      if (source.value.byteLength === 0) throw invalid('a secret cannot be empty');
      if (source.value.isHidden) {
        const message = `"${HIDDEN_VALUE}" stands for a secret that is not shown`;
        throw invalid(message, 'Give its value, or name a secret (SECRET name).');
      }
      if (source.value.byteLength > MAX_SECRET_BYTES) {
        throw invalid(`a secret cannot have more than ${MAX_SECRET_BYTES} bytes`);
      }
      break;
    case 'env':
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(source.variable))
        throw invalid('this is no name of an environment variable');
      if (source.variable.startsWith(OWN_PREFIX)) {
        throw invalid(`variables that begin with ${OWN_PREFIX} are settings of walhook and cannot be secrets`);
      }
      break;
    case 'file':
      if (!source.path.startsWith('/') || source.path.includes('\0')) {
        throw invalid('the file of a secret needs an absolute path');
      }
      break;
  }
}

/** The values of a secret at `nowMs`. Never throws: a secret that cannot be had is a state of its own. */
export function currentSecret(
  record: SecretRecord,
  nowMs: number,
  cipher: SecretCipher,
  sources: SecretSources,
): CurrentSecret {
  const values: SecretValue[] = [];
  let problem: string | null = null;
  let hasNewest = false;
  for (const version of validVersions(record, nowMs)) {
    try {
      values.push(valueOf(record, version, cipher, sources));
      hasNewest ||= version === record.versions[0];
    } catch (error) {
      problem ??= `${describe(version)}: ${reasonOf(error)}`;
    }
  }
  return { values, problem, hasNewest };
}

/** What SHOW has of a secret. */
export function describeSecret(
  record: SecretRecord,
  nowMs: number,
  usedBy: readonly string[],
  { problem }: CurrentSecret,
): SecretInfo {
  const newest = record.versions[0]!;
  const location = newest.kind === 'sealed' ? null : newest.kind === 'env' ? newest.variable : newest.path;
  return {
    name: record.name,
    source: newest.kind === 'sealed' ? 'value' : newest.kind,
    location,
    versions: validVersions(record, nowMs).length,
    usedBy,
    createdAtMs: record.createdAtMs,
    owner: record.owner,
    problem,
  };
}

/** A version of a source, sealed where it is a value. */
export function makeVersion(
  source: SecretSource,
  secretId: string,
  version: number,
  createdAtMs: number,
  cipher: SecretCipher,
): SecretVersion {
  const shared = { version, createdAtMs, expiresAtMs: null };
  if (source.kind === 'env') return { ...shared, kind: 'env', variable: source.variable };
  if (source.kind === 'file') return { ...shared, kind: 'file', path: source.path };
  return { ...shared, kind: 'sealed', data: cipher.seal(source.value, placeOf(secretId, version)) };
}

/** The versions of a secret that are valid at `nowMs`: the newest, and older ones until their time is over. */
export function validVersions(record: SecretRecord, nowMs: number): readonly SecretVersion[] {
  return record.versions.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
}

function valueOf(
  record: SecretRecord,
  version: SecretVersion,
  cipher: SecretCipher,
  sources: SecretSources,
): SecretValue {
  if (version.kind === 'sealed') return cipher.open(version.data, placeOf(record.id, version.version));
  const value = version.kind === 'env' ? sources.variable(version.variable) : fileText(sources.file(version.path));
  if (value === undefined || value.length === 0) {
    throw new Error(version.kind === 'env' ? 'it is not set' : 'it is empty');
  }
  return new SecretValue(value);
}

/** Without the line's end that editors and `echo` leave. */
function fileText(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end--;
  if (end > 0 && bytes[end - 1] === 0x0d) end--;
  return bytes.subarray(0, end);
}

function describe(version: SecretVersion): string {
  if (version.kind === 'env') return `environment variable ${version.variable}`;
  return version.kind === 'file' ? `file ${version.path}` : 'stored value';
}

/** Said without what was read. */
function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES') return 'walhook may not read it';
  if (typeof code === 'string') return `it cannot be read (${code})`;
  return (error as Error).message;
}

function invalid(message: string, hint?: string): PgError {
  return new PgError('invalid_parameter_value', message, { hint });
}
