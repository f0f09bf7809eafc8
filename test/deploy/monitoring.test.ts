import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { METRICS } from '../../src/metrics/names.ts';
import { Metrics } from '../../src/metrics/registry.ts';
import { STREAM_STATUSES } from '../../src/model/status.ts';

// Each metric and label that the dashboard and the alerts ask for is one that walhook has.

const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');
const read = (...path: string[]): string => readFileSync(join(DEPLOY, ...path), 'utf8');

/** What Prometheus adds to every series of a target. */
const TARGET_LABELS = ['instance', 'job'];

/** Labels by metric: ours as they are declared, the process's as it tells of them. */
async function knownMetrics(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const known = new Map<string, ReadonlySet<string>>([['up', new Set(TARGET_LABELS)]]);
  for (const [, name, text] of (await new Metrics(() => undefined).expose()).matchAll(/^([a-z]\w*)(\{.*?\})? /gm)) {
    const labels = [...(text ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label!);
    known.set(name!, new Set([...(known.get(name!) ?? TARGET_LABELS), ...labels]));
  }
  for (const { name, kind, labels } of Object.values(METRICS)) {
    const all = new Set([...TARGET_LABELS, ...labels]);
    if (kind !== 'histogram') known.set(name, all);
    else for (const part of ['bucket', 'sum', 'count']) known.set(`${name}_${part}`, new Set([...all, 'le']));
  }
  return known;
}

const known = await knownMetrics();
/** Words of PromQL that an expression of ours may have besides metrics and labels. */
const WORDS = new Set(
  `by sum max min count rate increase changes histogram_quantile label_values vector or and ignoring`.split(' '),
);

/** What is wrong with an expression. */
function problemsOf(expr: string): readonly string[] {
  const problems: string[] = [];
  const used: ReadonlySet<string>[] = [];
  let rest = expr.replace(/([a-z]\w*)\{([^}]*)\}/g, (_, name: string, matchers: string) => {
    for (const [, label, , value] of matchers.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)) {
      if (known.get(name)?.has(label!) !== true) problems.push(`${name} has no label ${label}`);
      if (name !== METRICS.streams.name || label !== 'status') continue;
      const unknown = value!.split('|').filter((status) => !STREAM_STATUSES.includes(status as never));
      problems.push(...unknown.map((status) => `no stream has status ${status}`));
    }
    return name;
  });
  rest = rest.replace(/\$?\[[^\]]*\]|"[^"]*"/g, ' ');
  const by = [...rest.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels]) => labels!.split(',').map((l) => l.trim()));
  for (const [word] of rest.replace(/\bby \([^)]*\)/g, ' ').matchAll(/[a-zA-Z_]\w*/g)) {
    if (WORDS.has(word)) continue;
    const labels = known.get(word);
    if (labels === undefined) problems.push(`there is no metric ${word}`);
    else used.push(labels);
  }
  for (const label of by) if (!used.some((labels) => labels.has(label))) problems.push(`nothing has label ${label}`);
  if (used.length === 0) problems.push('it asks for no metric');
  return problems;
}

test('the check sees what is wrong', () => {
  assert.deepEqual(problemsOf('sum by (stream) (walhook_delivery_lag_seconds{stream="a"})'), []);
  assert.deepEqual(problemsOf('sum by (colour) (walhook_delivery_lag_seconds)'), ['nothing has label colour']);
  assert.deepEqual(problemsOf('rate(walhook_nothing[5m])')[0], 'there is no metric walhook_nothing');
  assert.deepEqual(problemsOf('walhook_delivery_attempt_seconds'), [
    'there is no metric walhook_delivery_attempt_seconds',
    'it asks for no metric',
  ]);
  assert.deepEqual(problemsOf('walhook_streams{status="asleep"}'), ['no stream has status asleep']);
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

test('the dashboard asks for what there is, and for every metric of walhook', () => {
  const dashboard = JSON.parse(read('grafana', 'walhook.json')) as {
    panels: Panel[];
    templating: { list: { query: unknown }[] };
    annotations: { list: { expr: string }[] };
  };
  const exprs = [
    ...dashboard.panels.flatMap(({ targets }) => targets ?? []).map(({ expr }) => expr),
    ...dashboard.annotations.list.map(({ expr }) => expr),
  ];
  assert.ok(exprs.length > 30);
  for (const expr of exprs) assert.deepEqual(problemsOf(expr), [], expr);
  const variables = dashboard.templating.list.flatMap(({ query }) =>
    typeof query === 'object' ? [(query as { query: string }).query] : [],
  );
  for (const query of variables) {
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query)!;
    assert.ok(known.get(metric!)?.has(label!), query);
  }
  const unseen = Object.values(METRICS).filter(
    ({ name }) => !exprs.some((expr) => new RegExp(`\\b${name}(_bucket)?\\b`).test(expr)),
  );
  assert.deepEqual(
    unseen.map(({ name }) => name),
    [],
  );
});

test('the panels of the dashboard have each a place, a number and a word of what they show', () => {
  const { panels } = JSON.parse(read('grafana', 'walhook.json')) as { panels: Panel[] };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const panel of panels) if (panel.type !== 'row') assert.ok(panel.description, panel.title);
  const taken = new Map<string, string>();
  for (const { gridPos, title } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.equal(taken.get(`${x} ${y}`), undefined, `${title} lies over another`);
        taken.set(`${x} ${y}`, title);
      }
    }
  }
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

test('the alerts ask for what there is, and say what to do', () => {
  const { groups } = parse(read('prometheus', 'alerts.yml')) as { groups: { rules: Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  assert.ok(rules.length > 10);
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { alert, expr, labels, annotations } of rules) {
    assert.deepEqual(problemsOf(expr), [], alert);
    assert.match(labels.severity, /^(critical|warning|info)$/, alert);
    assert.ok(annotations.description.length > 40, alert);
    const metric = known.get(/[a-z]\w+_\w+|up/.exec(expr)![0]) ?? new Set();
    for (const [, label] of `${annotations.summary} ${annotations.description}`.matchAll(/\$labels\.(\w+)/g)) {
      assert.ok(metric.has(label!), `${alert}: $labels.${label}`);
    }
  }
});
