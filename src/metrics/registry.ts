import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { HistogramCounts } from '../base/histogram.ts';
import { GivenHistogram } from './given-histogram.ts';
import { METRICS, type MetricKey, type MetricSpec } from './names.ts';

/**
 * Sets one metric's value for one set of label values, in the order that `names.ts` lists the labels: a histogram's counts, a
 * number for every other.
 */
export type SetMetric = (key: MetricKey, value: number | HistogramCounts, ...labelValues: readonly string[]) => void;

const KINDS = { counter: Counter, gauge: Gauge, histogram: GivenHistogram } as const;

/**
 * The process's metrics. The parts keep plain numbers; at each scrape `collect` is asked to set them all, so that what
 * is gone (a dropped stream) is gone from the answer too.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #collect: (set: SetMetric) => Promise<void> | void;
  readonly #metrics = new Map<MetricKey, Counter | Gauge | GivenHistogram>();

  constructor(collect: (set: SetMetric) => Promise<void> | void) {
    this.#collect = collect;
    collectDefaultMetrics({ register: this.#registry });
    for (const [key, spec] of Object.entries(METRICS) as [MetricKey, MetricSpec][]) {
      const options = {
        name: spec.name,
        help: spec.help,
        labelNames: [...spec.labels],
        registers: [this.#registry],
      };
      this.#metrics.set(key, new KINDS[spec.kind](options));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition text, https://prometheus.io/docs/instrumenting/exposition_formats/ */
  async expose(): Promise<string> {
    for (const metric of this.#metrics.values()) {
      if (metric instanceof GivenHistogram) metric.forget();
      else metric.reset();
    }
    await this.#collect((key, value, ...labelValues) => {
      const labels = Object.fromEntries(METRICS[key].labels.map((label, i) => [label, labelValues[i] ?? '']));
      const metric = this.#metrics.get(key);
      if (metric instanceof GivenHistogram) {
        if (typeof value === 'object') metric.give(value, labels);
      } else if (typeof value === 'number') {
        if (metric instanceof Counter) metric.inc(labels, value);
        else metric?.set(labels, value);
      }
    });
    return this.#registry.metrics();
  }
}
