import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { AddressGuard } from './address-guard.ts';

/**
 * Resolves names to addresses that the guard allows, and fails with its `EgressBlockedError` where one of them is not: a
 * mixed answer cannot slip one in. Node asks no lookup for a literal address: that is for the caller to check.
 */
export function guardedLookup(guard: AddressGuard, lookup: LookupFunction = resolveAll): LookupFunction {
  return (host, asked, callback) => {
    lookup(host, { ...asked, all: true }, (error, answer) => {
      if (error) {
        callback(error, []);
        return;
      }
      const addresses: LookupAddress[] = Array.isArray(answer) ? answer : [{ address: answer, family: isIP(answer) }];
      try {
        for (const { address } of addresses) guard.check(host, address);
      } catch (blocked) {
        callback(blocked as Error, []);
        return;
      }
      const first = addresses[0];
      if (first === undefined) callback(Object.assign(new Error('the name has no address'), { code: 'ENODATA' }), []);
      else if (asked.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

const resolveAll: LookupFunction = (host, options, callback) => {
  systemLookup(host, { ...options, all: true }, callback);
};
