const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** Nothing, for the reader. */
export const NONE = '–';

export function count(text: string | null | undefined): string {
  return text === null || text === undefined ? NONE : whole.format(Number(text));
}

/** A rate a second. */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return '0/s';
  return value < 10 ? `${value.toFixed(value < 1 ? 2 : 1)}/s` : `${short.format(value)}/s`;
}

export function compact(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : short.format(value);
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value === 0) return '0 ms';
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 10_000 ? `${whole.format(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value === 0) return '0 s';
  if (value < 1) return `${whole.format(value * 1000)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  if (value < 86_400) return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
  return `${Math.floor(value / 86_400)} d ${Math.round((value % 86_400) / 3600)} h`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** As Postgres counts: 1 kB is 1,024 bytes. */
export function bytes(text: string | null | undefined): string {
  if (text === null || text === undefined) return NONE;
  let value = Number(text);
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || Math.abs(value) >= 100 ? whole.format(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Milliseconds since 1970 of a timestamptz as the server writes it: `2026-01-05 10:00:00.123+00`. */
export function timeOf(text: string | null | undefined): number | null {
  if (text === null || text === undefined) return null;
  const ms = Date.parse(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
  return Number.isNaN(ms) ? null : ms;
}

export function ago(ms: number, nowMs: number): string {
  const passed = Math.max(0, nowMs - ms) / 1000;
  if (passed < 5) return 'just now';
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86_400)} d ago`;
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hour12: false,
});
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' });

/** The time of day, with the day where it is another. */
export function moment(ms: number): string {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return isToday ? clock.format(ms) : `${day.format(ms)}, ${clock.format(ms)}`;
}

export function fullMoment(ms: number): string {
  return full.format(ms);
}

/** JSON with line breaks, or the text as it is. */
export function pretty(text: string): string {
  // Numbers that JavaScript would round stay as they are.
  if (/\d{16}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
