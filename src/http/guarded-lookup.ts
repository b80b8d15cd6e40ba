import {lookup} from 'node:dns';
import type {LookupFunction} from 'node:net';
import {type Side, TransshipError} from '../model/error.ts';
import {addressKind, hostnameOf} from './origin.ts';

/**
 * Resolves names of hosts that another server named, when a connection is made: a name may lead to a metadata service
 * or to this machine, and to another address each time. Private addresses are permitted, since storage of public
 * registries is also reached through the networks of clouds; so is this machine if the server that leads there is on
 * it.
 * @param ledBy `host[:port]` of that server; that of the URL itself where nobody knows who named it
 */
export function guardedLookup(ledBy: string, side: Side, resolve = lookup): LookupFunction {
  const leader = hostnameOf(ledBy);
  return (hostname, options, callback) => {
    resolve(hostname, {...options, all: true}, (error, addresses) => {
      if (error) {
        callback(error, []);
        return;
      }
      const kinds = new Set(addresses.map(({address}) => addressKind(address)));
      const answer = (): void => {
        const [first] = addresses;
        if (options.all === true || first === undefined) callback(null, addresses);
        else callback(null, first.address, first.family);
      };
      if (kinds.has('link-local'))
        callback(refused(hostname, 'a link-local address', ledBy, side), []);
      else if (!kinds.has('loopback')) answer();
      else if (leader === hostname) callback(refused(hostname, THIS_MACHINE, ledBy, side), []);
      else {
        resolve(leader, (_error, address) => {
          if (address !== undefined && addressKind(address) === 'loopback') answer();
          else callback(refused(hostname, THIS_MACHINE, ledBy, side), []);
        });
      }
    });
  };
}

const THIS_MACHINE = 'an address of this machine';

function refused(hostname: string, what: string, ledBy: string, side: Side): TransshipError {
  return new TransshipError('REDIRECT_REFUSED', `${hostname}, where ${ledBy} leads, has ${what}`, {
    side,
    hint: `if this is intended, allow it with --allow-unsafe-redirects ${ledBy}`,
  });
}
