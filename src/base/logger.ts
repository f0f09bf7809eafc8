import pino from 'pino';
import pretty from 'pino-pretty';

/**
 * Log lines: constant lower-case messages, variables as fields, an error under `err`. Never row values, bodies,
 * passwords, tokens, or a URL with its query.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A logger whose level, and that of all its children, may change. */
export interface RootLogger extends Logger {
  setLevel(level: LogLevel): void;
}

/**
 * JSON lines on standard error, or readable ones; standard output stays free for what commands print. Written
 * synchronously, so that the last line before a crash is there.
 */
export function createLogger(level: LogLevel, format: 'json' | 'pretty'): RootLogger {
  // A child has its parent's level as it is when it is made. They are few, and live as long as their root.
  const family: pino.Logger[] = [];
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    onChild: (child) => void family.push(child),
  };
  const root =
    format === 'json'
      ? pino(options, pino.destination({ fd: 2, sync: true }))
      : pino(options, pretty({ destination: 2, sync: true, singleLine: true, translateTime: 'SYS:HH:MM:ss.l' }));
  family.push(root);
  return Object.assign(root, {
    setLevel: (other: LogLevel): void => {
      for (const logger of family) logger.level = other;
    },
  });
}

/** Drops every line. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
