import { ACTION, actions } from '../wire/framer.ts';
import { BACKEND } from '../wire/message-type.ts';

/** The client's messages: those that are looked at whole, and those that the upstream will answer. */
export const FROM_CLIENT = actions(ACTION.forward, [
  [ACTION.ask, 'QP'],
  [ACTION.note, 'BDECSFcfp'],
]);
/** The same while statements or portals of ours exist, which these may name. */
export const FROM_CLIENT_NAMED = actions(ACTION.forward, [
  [ACTION.ask, 'QPBDEC'],
  [ACTION.note, 'SFcfp'],
]);
/** The same after an error of ours: as the server does, nothing is done up to the next Sync. */
export const FROM_CLIENT_SKIPPING = actions(ACTION.drop, [
  [ACTION.ask, 'S'],
  [ACTION.forward, 'X'],
]);
export const FROM_UPSTREAM = actions(ACTION.forward, [
  [ACTION.note, '123TnCIsEGW'],
  [ACTION.tee, 'ZSKR'],
]);
/** The same while statements of ours exist, which some commands (by their tags) end too. */
export const FROM_UPSTREAM_NAMED = actions(ACTION.forward, [
  [ACTION.note, '123TnIsEGW'],
  [ACTION.tee, 'ZSKRC'],
]);

/** The same while errors are to be shown before they pass. */
export const FROM_UPSTREAM_ASKED = FROM_UPSTREAM_NAMED.with(BACKEND.errorResponse, ACTION.ask);

/** While changes are staged, everything that may end their transaction goes one by one. */
export const FROM_CLIENT_STAGING = actions(ACTION.forward, [
  [ACTION.ask, 'QPBDECSF'],
  [ACTION.note, 'cfp'],
]);
/** … and what says that it has ended is held back until they are applied. */
export const FROM_UPSTREAM_STAGING = FROM_UPSTREAM_NAMED.with(BACKEND.commandComplete, ACTION.take).with(
  BACKEND.readyForQuery,
  ACTION.take,
);
