/*
  What is read, printed and stored, and has nothing behind it yet: 0A000 when a statement asks for it.
*/

/** Clauses by their spelling, with what there is instead. */
export const NOT_YET_CLAUSES: ReadonlyMap<string, string> = new Map([
  ['TO KINESIS', `Use TO WEBHOOK 'https://…' or TO KAFKA 'host:port'.`],
]);
