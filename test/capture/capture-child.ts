// A process that captures until it is killed: `node capture-child.ts <url> <folder>`. Prints a line for each thing that
// happens to the log, written before anything else can happen.
import { writeSync } from 'node:fs';
import { startCapture } from './capture-harness.ts';

const [url, folder] = process.argv.slice(2);
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};
const running = startCapture(url!, folder!, {
  reconnects: true,
  sink: {
    wantsData: () => true,
    onChunk: (header) => say(`chunk ${header.id}`),
    onDurable: (id) => say(`durable ${id} ${running.capture.status().changesCaptured} ${process.memoryUsage().rss}`),
    onDiscarded: (id) => say(`discarded ${id}`),
  },
});
process.once('SIGTERM', () => {
  void running.stop().then(() => {
    say(`stopped ${process.resourceUsage().maxRSS}`);
    process.exit(0);
  });
});
await running.done;
