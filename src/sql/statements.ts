/** The statements that this version has, as hints name them. */
export const STATEMENTS: readonly string[] = [
  'CREATE CHANGE DATA CAPTURE',
  'CREATE CDC STREAM',
  'ALTER CDC STREAM … PAUSE',
  'ALTER CDC STREAM … RESUME',
  'DROP CDC STREAM',
  'SHOW CDC STREAMS',
  'SHOW CDC STREAM STATUS',
];

const BEGINNING =
  /^ *(create +(change +data +capture|(cdc|change) +stream)|(alter|drop|pause|resume) +(cdc|change) +stream|show +(cdc|change) +(streams|stream +status))(?![a-z0-9_$\u0080-\uffff])/;

/** Whether the skeleton text begins with all the key words by which a statement of this version is known. */
export function beginsStatement(skeletonText: string): boolean {
  return BEGINNING.test(skeletonText);
}
