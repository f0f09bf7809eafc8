import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Samples } from '../live.ts';
import { useTheme } from '../theme.ts';

export interface Line {
  /** Of the samples. */
  readonly series: string;
  readonly title: string;
  /** A custom property with its colour. */
  readonly colour: string;
  readonly isDashed?: boolean;
}

interface ChartProps {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly samples: Samples | undefined;
  readonly format: (value: number | null | undefined) => string;
}

const HEIGHT = 150;
const SHOWN_SECONDS = 15 * 60;

/** Lines over the last quarter of an hour. What they are at the end, or where the pointer is, stands above in words. */
export function Chart({ title, lines, samples, format }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const theme = useTheme();
  const data = useMemo<uPlot.AlignedData>(() => {
    const times = samples?.times ?? [];
    const series = lines.map((line) => [...(samples?.series[line.series] ?? times.map(() => null))]);
    return [times.map((ms) => ms / 1000), ...series];
  }, [samples, lines]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new uPlot(optionsOf(element, lines, format, setPointed), latest.current, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [lines, theme]);
  useEffect(() => plot.current?.setData(data), [data]);

  const at = pointed !== null && pointed < data[0].length ? pointed : data[0].length - 1;
  const values = lines.map((line, index) => ({ line, value: data[index + 1]?.[at] }));
  const summary = values.map(({ line, value }) => `${line.title} ${format(value)}`).join(', ');
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {values.map(({ line, value }) => (
            <span key={line.series}>
              <i class={`key ${line.series}`} aria-hidden="true" />
              {line.title} <b class="number">{format(value)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}, the last quarter of an hour. Now: ${summary}`} />
    </figure>
  );
}

function optionsOf(
  element: HTMLElement,
  lines: readonly Line[],
  format: ChartProps['format'],
  point: (at: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: 'stream' }, drag: { x: false, y: false }, points: { size: 6 } },
    hooks: { setCursor: [(self) => point(self.cursor.idx ?? null)] },
    scales: {
      x: {
        // Always the same stretch, so that the charts stand still while they fill.
        range: (_self, _least, most) => [(most || Date.now() / 1000) - SHOWN_SECONDS, most || Date.now() / 1000],
      },
      y: { range: (_self, _least, most) => [0, most > 0 ? most * 1.1 : 1] },
    },
    axes: [
      { ...axis, size: 24, space: 70, values: (_self, splits) => splits.map(timeOfDay) },
      { ...axis, size: 58, space: 34, values: (_self, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.title,
        stroke: colour(line.colour),
        width: 1.5,
        points: { show: false },
        ...(line.isDashed === true ? { dash: [4, 3] } : {}),
      })),
    ],
  };
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });

function timeOfDay(seconds: number): string {
  return clock.format(seconds * 1000);
}
