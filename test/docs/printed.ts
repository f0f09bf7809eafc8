/** Whether a program printed what a page shows: `…` stands for anything, and white space at the ends of lines for nothing. */
export function isPrinted(shown: string, printed: string): boolean {
  const parts = tidy(shown).split('…');
  const pattern = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*?');
  return new RegExp(`^${pattern}$`).test(tidy(printed));
}

const tidy = (text: string): string => text.replaceAll(/[ \t]+$/gm, '').trim();
