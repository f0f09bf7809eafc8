import type { EndpointAction, Role } from '../../sql/ast.ts';
import type { DeclarationPlanner } from './declaration-plan.ts';
import type { DeclaredEndpoint } from './declarations.ts';
import { compareUrls, endpointKeys, incompleteOptions, isUrlIncomplete } from './hidden.ts';
import { changedOptions, optionActions } from './planned-options.ts';

/** What makes the endpoint what is wanted. */
export function planEndpoint(
  planner: DeclarationPlanner,
  have: DeclaredEndpoint | undefined,
  want: DeclaredEndpoint,
): void {
  const object = `CDC endpoint ${want.name}`;
  const { url, options } = want.command;
  const name = { text: want.name, position: 1 };
  const alter = (action: EndpointAction): void => planner.do('alter', { kind: 'alter-endpoint', name, action });
  if (have === undefined) {
    planner.require(object, [
      ...(isUrlIncomplete(url) ? ['its URL'] : []),
      ...incompleteOptions(options, endpointKeys(options)),
    ]);
    planner.do('create', { ...want.statement, orReplace: false, ifNotExists: false });
  } else {
    const comparison = compareUrls(have.command.url, url);
    const isUrlSet =
      comparison === 'different' ||
      (comparison === 'untold' && !isUrlIncomplete(url) && planner.setsHidden(object, 'the query of its URL'));
    if (isUrlSet) {
      planner.require(object, isUrlIncomplete(url) ? ['its URL'] : []);
      alter({ kind: 'set-url', url: { kind: 'string', value: url, position: 1 }, options: [] });
    }
    const changed = changedOptions(planner, object, have.command.options, options);
    for (const action of optionActions(changed, options)) alter(action);
  }
  if (want.owner !== null && want.owner !== (have === undefined ? planner.options.role : have.owner)) {
    alter({ kind: 'owner', role: roleNode(want.owner) });
  }
}

export function roleNode(name: string): Role {
  return { text: name, position: 1 };
}
