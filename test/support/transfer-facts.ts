import type {Manifest} from '../../src/model/manifest.ts';
import type {RepositoryFacts, TransferFacts} from '../../src/plan/transfer/facts.ts';
import type {ProjectMove, TransferPlan} from '../../src/model/transfer-plan.ts';
import {makeTransferPlan} from '../../src/plan/transfer/transfer-plan.ts';
import {destination, image, source} from './inventories.ts';

/** Facts for planning transfers: a project that moves to another top-level group, and nothing in its way. */

export const HOST = 'registry.test';
/** The steps of a transfer by way of a donor, in the order of GitLab's manual. */
export const STAGED: readonly string[] = [
  'pull',
  'verify-donor',
  'delete-old',
  'change-namespace',
  'retag',
  'push',
  'verify-target',
  'remove-donor',
];

export const FROM = 'org/build/app';
export const TO = 'new_org/build/app';

/** One image repository of the project with these tags. */
export function repository(
  name: string,
  tags: Readonly<Record<string, Manifest>>,
  more: Partial<RepositoryFacts> & {readonly others?: readonly Manifest[]} = {},
): RepositoryFacts {
  const {others = [], ...rest} = more;
  const below = name === '' ? '' : `/${name}`;
  const donor = `${HOST}/donors/parking/p12${name === '' ? '' : `/${name.replaceAll('/', '__')}`}`;
  return {
    from: `${HOST}/${FROM}${below}`,
    to: `${HOST}/${TO}${below}`,
    donor,
    source: source(`${HOST}/${FROM}${below}`, tags, others),
    atDonor: {...destination(rest.donor ?? donor), exists: false},
    unknownMediaTypes: [],
    ...rest,
  };
}

/** Merged member by member: what is not named is as it should be. */
export type Changes = {
  readonly [K in keyof TransferFacts]?: TransferFacts[K] extends
    | readonly unknown[]
    | string
    | number
    ? TransferFacts[K]
    : Partial<TransferFacts[K]>;
};

export function transferFacts(changes: Changes = {}): TransferFacts {
  const facts: TransferFacts = {
    wish: {
      project: FROM,
      to: TO,
      donor: {kind: 'project', path: 'donors/parking'},
    },
    now: Date.UTC(2026, 0, 1),
    staged: false,
    project: {
      id: 12,
      fullPath: FROM,
      path: 'app',
      namespace: {id: 3, fullPath: 'org/build'},
      archived: false,
      accessLevel: 50,
      isRegistryDisabled: false,
    },
    target: {
      fullPath: TO,
      path: 'app',
      namespace: {id: 9, fullPath: 'new_org/build'},
      isAllowed: true,
      taken: {},
    },
    token: {kind: 'access-token', scopes: ['api'], isAdmin: false},
    registry: {
      host: HOST,
      version: '4.32.0-gitlab',
      deletesTags: true,
      database: false,
      missingActions: [],
      deletion: 'taken',
      aheadOfGitLabMs: 0,
      gitlabAheadMs: 0,
    },
    repositories: [repository('', {v1: image(['a', 'b'])})],
    donor: {
      donor: {kind: 'project', path: 'donors/parking', id: 20, namespaceId: 7},
      mayCreate: false,
      missingActions: [],
      probe: 'passed',
    },
    rules: {repositories: [], tags: []},
  };
  const merged = Object.entries(changes).map(([key, change]) => {
    const base = facts[key as keyof TransferFacts];
    const isWhole = typeof change !== 'object' || Array.isArray(change);
    return [key, isWhole ? change : {...(base as object), ...(change as object)}];
  });
  return {...facts, ...(Object.fromEntries(merged) as Partial<TransferFacts>)};
}

/** Facts of another project, `org/build/<name>`, whose images have these tags. */
export function otherFacts(
  id: number,
  name: string,
  tags: Readonly<Record<string, Manifest>>,
  changes: Changes = {},
): TransferFacts {
  const from = `${HOST}/org/build/${name}`;
  const to = `${HOST}/new_org/build/${name}`;
  const donor = `${HOST}/donors/parking/p${id}`;
  return transferFacts({
    ...changes,
    wish: {project: `org/build/${name}`, to: 'new_org/build/'},
    project: {id, fullPath: `org/build/${name}`, path: name, ...changes.project},
    target: {fullPath: `new_org/build/${name}`, path: name, ...changes.target},
    repositories: [repository('', tags, {from, to, donor, source: source(from, tags, [])})],
  });
}

/** The plan of these transfers. */
export function transferPlan(...facts: readonly TransferFacts[]): TransferPlan {
  return makeTransferPlan('https://gitlab.test', facts);
}

/** The plan of one transfer, with what is planned for its project. */
export function planOne(facts: TransferFacts): TransferPlan & ProjectMove {
  const plan = transferPlan(facts);
  const [move] = plan.moves;
  if (move === undefined) throw new Error('the plan moves nothing');
  return {...move, ...plan};
}
