import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';

// What is published works where nothing else is: the package in an empty folder, and the steps of the image in a clean one.

const ROOT = join(import.meta.dirname, '..', '..');
const tree = temporaryFolder();
const environment = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', env: environment, maxBuffer: 2 ** 26 });
}

before(() => {
  // As a clone has it: what is not committed yet is there, what is ignored is not.
  const files = run(ROOT, 'git', 'ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate');
  for (const file of files.split('\n').filter(Boolean)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    cpSync(join(ROOT, file), join(tree, file));
  }
  run(tree, 'npm', 'ci', '--no-audit', '--no-fund');
});

test('npm pack installs into an empty folder, where npx walhook start --once works', () => {
  const packed = JSON.parse(run(tree, 'npm', 'pack', '--json')) as object;
  const [{ filename, files }] = Object.values(packed) as [{ filename: string; files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const path of ['dist/main.js', 'dist/console/index.html', 'README.md', 'docs/sql.md', 'LICENSE'])
    assert.ok(paths.includes(path), path);
  assert.deepEqual(
    paths.filter((path) => /^(src|test|scripts|console)\//.test(path)),
    [],
  );
  const folder = temporaryFolder();
  run(folder, 'npm', 'init', '-y');
  run(folder, 'npm', 'install', '--no-audit', '--no-fund', join(tree, filename));
  assert.match(run(folder, 'npx', 'walhook', 'version'), /^walhook \d+\.\d+\.\d+/);
  const ports = ['--listen', '127.0.0.1:0', '--http', '127.0.0.1:0', '--receiver', '127.0.0.1:0'];
  assert.match(
    run(folder, 'npx', 'walhook', 'start', '--once', ...ports),
    /every webhook arrived exactly as expected/i,
  );
  const script = `import { Walhook } from 'walhook'; import { verify } from 'walhook/receiver'; console.log(typeof Walhook.start, typeof verify)`;
  assert.equal(run(folder, 'node', '--input-type=module', '-e', script), 'function function\n');
});

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ');
const [build, image] = dockerfile.split(/^FROM /m).slice(1) as [string, string];

test('the steps of the image make a walhook that serves and is healthy', async () => {
  for (const [, command] of build.matchAll(/^RUN (.*)$/gm)) run(tree, 'sh', '-c', command!);
  const folder = temporaryFolder();
  for (const [, from, to] of image.matchAll(/^COPY --from=build \/build\/(\S+) (\S+)$/gm)) {
    cpSync(join(tree, from!), join(folder, to!, to === './' ? from! : ''), { recursive: true });
  }
  assert.ok(!readdirSync(folder).includes('src'));
  const [, entry] = /^ENTRYPOINT (.*)$/m.exec(image)!;
  const [node, ...args] = JSON.parse(entry!) as string[];
  const server = await startPostgres();
  const walhook = spawn(node!, [...args, 'serve', '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'], {
    cwd: folder,
    env: { PATH: process.env.PATH, WALHOOK_UPSTREAM: server.url(), WALHOOK_DATA_DIR: join(folder, 'data') },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  after(() => walhook.kill('SIGKILL'));
  const ended = new Promise<number | null>((resolve) => walhook.once('exit', resolve));
  const port = await new Promise<string>((resolve, reject) => {
    void ended.then((code) => reject(new Error(`walhook ended with ${code}`)));
    createInterface({ input: walhook.stderr }).on('line', (line) => {
      const found = /"http":"127\.0\.0\.1:(\d+)"/.exec(line);
      if (found !== null) resolve(found[1]!);
    });
  });
  const [, check] = /HEALTHCHECK .*?CMD (\[.*\])/.exec(image)!;
  const [program, ...words] = JSON.parse(check!) as string[];
  run(folder, program!, ...words.map((word) => word.replace('7480', port)));
  walhook.kill('SIGTERM');
  assert.equal(await ended, 0);
});
