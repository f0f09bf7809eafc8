import type * as ast from './ast.ts';
import { findOption, headerOf, isEndpointOption, OPTION_NAMES } from './options.ts';
import type { StreamOption } from './option-table.ts';
import { nearest, sharingWords } from '../base/nearest.ts';
import { shorten, syntaxFault } from './syntax-error.ts';

/** Options that a hint names. */
const MOST_LIKE = 4;

/** Where options stand. */
export type OptionPlace = 'stream' | 'endpoint';

/**
 * 42601 for an option that there is not, that is not of this place or destination, or that is written twice. Linear in
 * their number.
 */
export function checkOptions(
  place: OptionPlace,
  options: readonly ast.Option[],
  destination: ast.DestinationNode['kind'] | null = null,
): void {
  const seen = new Map<string, string>();
  for (const { name } of options) {
    const header = headerOf(name.text);
    const option = header === null ? findOption(name.text) : null;
    if (header === null) checkPlace(place, destination, option, name);
    else if (destination === 'kafka') throw syntaxFault(`headers belong to TO WEBHOOK`, name.position);
    const identity = option?.name ?? `header.${header!.toLowerCase()}`;
    const earlier = seen.get(identity);
    if (earlier !== undefined) {
      const same = `"${shorten(name.text)}" and "${shorten(earlier)}" are the same option.`;
      const hint = earlier === name.text ? undefined : same;
      throw syntaxFault(`option "${shorten(name.text)}" specified more than once`, name.position, hint);
    }
    seen.set(identity, name.text);
  }
}

/** A few options that have a word in common with it, and where all of them are: they are too many for a hint. */
function likeIt(word: string, names: readonly string[]): string {
  const own = names.filter((name) => findOption(name)!.name === name);
  const found = sharingWords(word, own, MOST_LIKE);
  const few =
    found.length === 1
      ? `Like it is ${found[0]}. `
      : `Like it are ${found.slice(0, -1).join(', ')} and ${found.at(-1)}. `;
  return `${found.length === 0 ? '' : few}SHOW CDC STREAM OPTIONS has those of a stream, docs/sql.md has all.`;
}

function checkPlace(
  place: OptionPlace,
  destination: ast.DestinationNode['kind'] | null,
  option: StreamOption | null,
  name: ast.Name,
): asserts option is StreamOption {
  const isHere = (candidate: StreamOption): boolean => place === 'stream' || isEndpointOption(candidate);
  if (option === null) {
    const names = OPTION_NAMES.filter((candidate) => isHere(findOption(candidate)!));
    const near = nearest(name.text, names);
    const hint = near === null ? likeIt(name.text, names) : `did you mean "${near}"?`;
    throw syntaxFault(`unrecognized option "${shorten(name.text)}"`, name.position, hint);
  }
  if (!isHere(option)) {
    const hint = 'Give it to the stream: an endpoint has only what belongs to a destination.';
    throw syntaxFault(`option "${name.text}" is not one of an endpoint`, name.position, hint);
  }
  if (destination === null || option.destination === 'any') return;
  const owner = option.destination === 'kafka' ? 'KAFKA' : 'WEBHOOK';
  if ((owner === 'KAFKA') === (destination === 'kafka')) return;
  throw syntaxFault(`option "${name.text}" belongs to TO ${owner}`, name.position);
}
