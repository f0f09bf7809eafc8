import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { environmentName, SERVE_OPTIONS } from '../../src/config/options.ts';
import { loadOptions } from '../../src/config/load.ts';

// What deploys walhook sets options that there are, to values that they take, and agrees with the image.

const ROOT = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const OPTIONS = new Set(Object.values(SERVE_OPTIONS).map(environmentName));

/** Fails where the environment sets what is no option, or to what is no value of it. */
function checkEnvironment(environment: Readonly<Record<string, string>>, where: string): void {
  const ours = Object.entries(environment).filter(([name]) => name.startsWith('WALHOOK_'));
  assert.ok(ours.length > 0, where);
  for (const [name] of ours) assert.ok(OPTIONS.has(name), `${where}: ${name}`);
  loadOptions(SERVE_OPTIONS, [], { WALHOOK_UPSTREAM: 'postgres://u@h/d', ...Object.fromEntries(ours) });
}

const dockerfile = read('Dockerfile');
const exposed = /^EXPOSE (.*)$/m.exec(dockerfile)![1]!.split(' ').map(Number);

test('the image', () => {
  const pairs = [...dockerfile.matchAll(/(WALHOOK_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!] as const);
  checkEnvironment(Object.fromEntries(pairs), 'Dockerfile');
  const ports = pairs.filter(([name]) => /LISTEN|HTTP/.test(name)).map(([, value]) => Number(value.split(':')[1]));
  assert.deepEqual(ports, exposed);
  assert.match(dockerfile, /^USER node$/m);
  for (const [, path] of dockerfile.matchAll(/^COPY (?!--from)(\S+)/gm)) assert.ok(existsSync(join(ROOT, path!)), path);
});

interface ComposeService {
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
}

test('compose.yaml', () => {
  const { services, volumes } = parse(read('compose.yaml')) as {
    services: Record<string, ComposeService>;
    volumes: Record<string, unknown>;
  };
  assert.deepEqual(Object.keys(services), ['postgres', 'walhook', 'receiver', 'prometheus', 'grafana']);
  checkEnvironment(services['walhook']!.environment!, 'compose.yaml');
  for (const [name, { volumes: mounts = [], depends_on: needs = {} }] of Object.entries(services)) {
    for (const mount of mounts) {
      const [from] = mount.split(':');
      assert.ok(from!.startsWith('.') ? existsSync(join(ROOT, from!)) : from! in volumes, `${name}: ${mount}`);
    }
    for (const need of Object.keys(needs)) assert.ok(need in services, `${name}: ${need}`);
  }
  const prometheus = parse(read('deploy/prometheus/prometheus.yml')) as {
    scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[];
  };
  const [{ job_name: job, static_configs: configs }] = prometheus.scrape_configs as [
    (typeof prometheus.scrape_configs)[number],
  ];
  assert.deepEqual([job, configs[0]!.targets], ['walhook', [`walhook:${exposed[1]}`]]);
  assert.match(read('deploy/prometheus/alerts.yml'), /up\{job="walhook"\}/);
});

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly startupProbe: Probe;
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly serviceName?: string;
    readonly ports?: readonly { readonly targetPort: string }[];
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: { readonly containers: readonly [Container]; readonly volumes: readonly { name: string }[] };
    };
    readonly selector: Readonly<Record<string, unknown>>;
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}

test('the manifests of Kubernetes', () => {
  const { resources } = parse(read('deploy/kubernetes/kustomization.yaml')) as { resources: string[] };
  const manifests = resources.flatMap((path) =>
    parseAllDocuments(read(`deploy/kubernetes/${path}`)).map((document) => document.toJS() as Manifest),
  );
  const set = manifests.find(({ kind }) => kind === 'StatefulSet')!;
  const services = manifests.filter(({ kind }) => kind === 'Service');
  const template = set.spec.template!;
  const [container] = template.spec.containers;
  assert.equal(set.spec.replicas, 1, 'a data directory has one walhook at a time');
  assert.ok(services.some(({ metadata }) => metadata.name === set.spec.serviceName));
  checkEnvironment(Object.fromEntries(container.env.map(({ name, value }) => [name, value])), 'statefulset.yaml');
  assert.deepEqual(
    container.ports.map(({ containerPort }) => containerPort),
    exposed,
  );
  const ports = new Set(container.ports.map(({ name }) => name));
  for (const { spec } of services) {
    for (const { targetPort } of spec.ports!) assert.ok(ports.has(targetPort));
    assert.deepEqual(spec.selector, template.metadata.labels);
  }
  for (const { httpGet } of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    assert.ok(['/healthz', '/readyz'].includes(httpGet.path) && ports.has(httpGet.port));
  }
  const volumes = [
    ...template.spec.volumes.map(({ name }) => name),
    ...set.spec.volumeClaimTemplates!.map((claim) => claim.metadata.name),
  ];
  for (const { name } of container.volumeMounts) assert.ok(volumes.includes(name), name);
  const [, dataDir] = /WALHOOK_DATA_DIR=(\S+)/.exec(dockerfile)!;
  assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === dataDir));
});

test("systemd's unit", () => {
  const unit = read('deploy/systemd/walhook.service');
  const set = [...unit.matchAll(/(WALHOOK_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!] as const);
  checkEnvironment(Object.fromEntries(set.filter(([, value]) => !value.startsWith('…'))), 'walhook.service');
  assert.match(unit, /^StateDirectory=walhook$/m);
});
