import { Histogram, type MetricObjectWithValues, type MetricValueWithName } from 'prom-client';
import type { HistogramCounts } from '../base/histogram.ts';

type Labels = Readonly<Record<string, string>>;
type Value = MetricValueWithName<string>;

/** A histogram whose counts are kept elsewhere and given to it whole: prom-client's own counts each value itself. */
export class GivenHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  #values: Value[] = [];

  constructor(options: ConstructorParameters<typeof Histogram>[0]) {
    super(options);
    this.#name = options.name;
    this.#help = options.help;
  }

  /** Not `reset`, which prom-client's constructor calls before there is anything. */
  forget(): void {
    this.#values = [];
  }

  give({ bounds, upTo, count, sum }: HistogramCounts, labels: Labels): void {
    const value = (of: string, number: number, more: Labels = {}): void => {
      this.#values.push({ metricName: `${this.#name}_${of}`, labels: { ...more, ...labels }, value: number });
    };
    for (const [i, bound] of bounds.entries()) value('bucket', upTo[i]!, { le: String(bound) });
    value('bucket', count, { le: '+Inf' });
    value('sum', sum);
    value('count', count);
  }

  /** What the registry asks each metric for. */
  async getForPromString(): Promise<
    Pick<MetricObjectWithValues<Value>, 'name' | 'help' | 'values'> & { type: string }
  > {
    return { name: this.#name, help: this.#help, type: 'histogram', values: this.#values };
  }
}
