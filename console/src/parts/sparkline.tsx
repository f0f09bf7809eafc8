import type { JSX } from 'preact';
import { rate } from '../format.ts';
import type { Samples } from '../live.ts';

const WIDTH = 120;
const HEIGHT = 28;
const SHOWN = 60;

/** Events a second of the last five minutes; what failed is drawn over it. */
export function Sparkline({ samples }: { readonly samples: Samples | undefined }): JSX.Element {
  const delivered = (samples?.series['delivered'] ?? []).slice(-SHOWN);
  const failed = (samples?.series['failed'] ?? []).slice(-SHOWN);
  const most = Math.max(0, ...delivered.map(Number), ...failed.map(Number));
  const now = delivered.at(-1);
  const label = `Throughput of the last five minutes: now ${rate(now)}, at most ${rate(most)}`;
  return (
    <span class="sparkline">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} preserveAspectRatio="none">
        <path class="base" d={`M0 ${HEIGHT - 1}H${WIDTH}`} />
        {most > 0 && <path class="area" d={`${line(delivered, most)}V${HEIGHT - 1}H${startOf(delivered)}Z`} />}
        {most > 0 && <path class="delivered" d={line(delivered, most)} />}
        {failed.some((value) => (value ?? 0) > 0) && <path class="failed" d={line(failed, most)} />}
      </svg>
      <span class="number" aria-hidden="true">
        {rate(now)}
      </span>
    </span>
  );
}

function startOf(values: readonly unknown[]): number {
  return Math.round(((SHOWN - values.length) / (SHOWN - 1)) * WIDTH * 10) / 10;
}

function line(values: ReadonlyArray<number | null>, most: number): string {
  const offset = SHOWN - values.length;
  const points = values.map((value, at) => {
    const x = ((offset + at) / (SHOWN - 1)) * WIDTH;
    const y = HEIGHT - 1 - ((value ?? 0) / most) * (HEIGHT - 3);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return `M${points.join('L')}`;
}
