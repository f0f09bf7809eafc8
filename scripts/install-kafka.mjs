// Fetches Apache Kafka's broker, which `npm run test:full` and the benchmark start on the machine's JVM: from Maven Central,
// once, into a cache folder of the user's. Which files these are, scripts/kafka says. Prints the folder.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '4.3.1';
const own = fileURLToPath(new URL('kafka/', import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'walhook');
const folder = join(cache, `kafka-${VERSION}`);

const expected = new Map(
  readFileSync(join(own, 'SHA256SUMS'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => [line.slice(66), line.slice(0, 64)]),
);

/** What is wrong with the files there, or null. */
function fault(at) {
  let names;
  try {
    names = readdirSync(at);
  } catch {
    return 'there are none';
  }
  const missing = [...expected.keys()].filter((name) => !names.includes(name));
  const strange = names.filter((name) => !expected.has(name));
  if (missing.length + strange.length > 0) return `missing: ${missing.join(' ')}; not expected: ${strange.join(' ')}`;
  const changed = names.filter((name) => {
    return (
      createHash('sha256')
        .update(readFileSync(join(at, name)))
        .digest('hex') !== expected.get(name)
    );
  });
  return changed.length === 0 ? null : `of another checksum: ${changed.join(' ')}`;
}

if (fault(folder) !== null) {
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const args = ['-q', '-B', '-f', join(own, 'pom.xml'), 'dependency:copy-dependencies'];
  const run = spawnSync('mvn', [...args, '-DincludeScope=runtime', `-DoutputDirectory=${fresh}`], {
    stdio: ['ignore', 2, 2],
  });
  const found = run.error
    ? `mvn: ${run.error.message}`
    : run.status === 0
      ? fault(fresh)
      : `mvn ended with ${run.status}`;
  if (found !== null) {
    rmSync(fresh, { recursive: true, force: true });
    console.error(`walhook: Apache Kafka ${VERSION} cannot be installed: ${found}`);
    process.exit(1);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}
console.log(folder);
