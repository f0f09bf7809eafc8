import type { StagedChange } from '../model/staged-change.ts';
import { alterEndpoint, createEndpoint, dropEndpoints } from './plan-endpoint.ts';
import { alterSecret, createSecret, dropSecrets } from './plan-secret.ts';
import { alterStream, commentStream, createStream, dropStreams } from './plan-stream.ts';
import { type Plan, type PlanContext, Planner } from './plan.ts';

/** What a change comes to, or the error that the client gets; see `CatalogControl` for which. */
export function planChange(change: StagedChange, context: PlanContext): Plan {
  const planner = new Planner(context);
  switch (change.kind) {
    case 'create-stream':
      createStream(planner, change);
      break;
    case 'alter-stream':
      alterStream(planner, change);
      break;
    case 'drop-streams':
      dropStreams(planner, change);
      break;
    case 'comment-stream':
      commentStream(planner, change);
      break;
    case 'create-endpoint':
      createEndpoint(planner, change);
      break;
    case 'alter-endpoint':
      alterEndpoint(planner, change);
      break;
    case 'drop-endpoints':
      dropEndpoints(planner, change);
      break;
    case 'create-secret':
      createSecret(planner, change);
      break;
    case 'alter-secret':
      alterSecret(planner, change);
      break;
    case 'drop-secrets':
      dropSecrets(planner, change);
      break;
  }
  return planner;
}
