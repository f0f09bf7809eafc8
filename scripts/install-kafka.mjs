// Fetches what `npm run test:full` and the benchmark start on the machine's JVM: Apache Kafka's broker, its Connect with readers
// of Debezium's and of Avro, a schema registry. From Maven Central, once, into a cache folder of the user's. Which files these are, the
// folders beside this program say. Prints the folder.
//
//   node scripts/install-kafka.mjs [kafka | kafka-connect | schema-registry]
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SETS = {
  kafka: { version: '4.3.1' },
  'kafka-connect': { version: '4.3.1' },
  // Apicurio Registry, which has the interface of Confluent's: the newest that runs on Java 17. Its parts are one archive, and the
  // project that it was built from is not published.
  'schema-registry': { version: '3.0.9', artifact: 'io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all' },
};
const set = process.argv[2] ?? 'kafka';
if (!(set in SETS)) {
  console.error(`walhook: there is ${Object.keys(SETS).join(', ')}`);
  process.exit(2);
}
const { version, artifact } = SETS[set];
const own = fileURLToPath(new URL(`${set}/`, import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'walhook');
const folder = join(cache, `${set}-${version}`);

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
  const what = artifact
    ? ['dependency:copy', `-Dartifact=${artifact}`]
    : ['-f', join(own, 'pom.xml'), 'dependency:copy-dependencies', '-DincludeScope=runtime'];
  const run = spawnSync('mvn', ['-q', '-B', ...what, `-DoutputDirectory=${fresh}`], { stdio: ['ignore', 2, 2] });
  const found = run.error
    ? `mvn: ${run.error.message}`
    : run.status === 0
      ? fault(fresh)
      : `mvn ended with ${run.status}`;
  if (found !== null) {
    rmSync(fresh, { recursive: true, force: true });
    console.error(`walhook: ${set} ${version} cannot be installed: ${found}`);
    process.exit(1);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}
console.log(folder);
