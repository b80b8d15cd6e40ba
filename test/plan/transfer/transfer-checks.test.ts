import {describe, expect, it} from 'vitest';
import {OCI_MANIFEST} from '../../../src/model/media-type.ts';
import type {Tag} from '../../../src/model/reference.ts';
import {destination, entry, image, index, layer, manifest} from '../../support/inventories.ts';
import {
  type Changes,
  FROM,
  HOST,
  repository,
  TO,
  transferFacts,
  transferPlan,
} from '../../support/transfer-facts.ts';

const v1 = image(['a']);
const NOW = transferFacts().now;
const missing = index([entry(v1, 'linux/amd64')]);
const schema1 = manifest({schemaVersion: 1, name: 'x', tag: 'y', fsLayers: [], history: []});
const finding = {code: 'REGISTRY_READ_ONLY', message: 'it is read-only', hint: 'wait'} as const;
const directory = {kind: 'directory', path: '/donor'} as const;
const project = {kind: 'project', path: 'donors/parking', namespaceId: 7} as const;
const tooDeep = 'it is 3 levels below its project';

/** What is changed in facts without a fault, and what is found then. */
const TABLE: readonly (readonly [what: string, changes: Changes, found: readonly string[]])[] = [
  ['an archived project', {project: {archived: true}}, ['forbid PROJECT_NOT_MOVABLE']],
  ['one that is going', {project: {deletionDate: '2026-02-01'}}, ['forbid PROJECT_NOT_MOVABLE']],
  ['a registry that is off', {project: {isRegistryDisabled: true}}, ['forbid REGISTRY_DISABLED']],
  ['running pipelines', {project: {hasRunningPipelines: true}}, ['warn PIPELINES_RUNNING']],
  [
    'a package of the old group',
    {project: {scopedPackage: '@org/x'}},
    ['forbid TRANSFER_PACKAGES_PRESENT'],
  ],
  ['a maintainer who transfers', {project: {accessLevel: 40}}, ['forbid ROLE_MISSING']],
  ['a role that is not told', {project: {accessLevel: 0}}, ['warn ROLE_MISSING']],
  [
    'a maintainer who changes the path',
    {
      project: {accessLevel: 40},
      target: {fullPath: 'org/build/tool', path: 'tool', namespace: {id: 3, fullPath: 'org/build'}},
    },
    [],
  ],
  ['an administrator without a role', {project: {accessLevel: 0}, token: {isAdmin: true}}, []],
  ['a target that is closed', {target: {isAllowed: false}}, ['forbid TRANSFER_FORBIDDEN']],
  ['a path that is taken', {target: {taken: {atTarget: TO}}}, ['forbid NAME_TAKEN']],
  ['a name that is taken', {target: {taken: {name: 'new_org/build/x'}}}, ['forbid NAME_TAKEN']],
  [
    'both orders in the way',
    {target: {path: 'tool', fullPath: 'x/tool', taken: {oldPathInNew: 'x/app', newPathInOld: 'o'}}},
    ['forbid NAME_TAKEN'],
  ],
  [
    'a path that is none',
    {target: {path: 'a..b', fullPath: 'new_org/build/a..b', whyNotPath: 'no', whyNotImages: 'no'}},
    ['forbid NAME_INVALID', 'forbid NAME_INVALID'],
  ],
  ['an old path that is none, and stays', {target: {whyNotPath: 'reserved'}}, []],
  ['a job token', {token: {kind: 'job-token'}}, ['forbid TOKEN_SCOPE_MISSING']],
  ['a token without api', {token: {scopes: ['read_api']}}, ['forbid TOKEN_SCOPE_MISSING']],
  ['a token that ends', {token: {expiresAt: NOW + 3_600_000}}, ['warn TOKEN_ENDS_SOON']],
  ['no right to push', {registry: {missingActions: ['push']}}, ['forbid TOKEN_SCOPE_MISSING']],
  ['a read-only registry', {registry: {deletion: finding}}, ['forbid REGISTRY_READ_ONLY']],
  ["another's registry", {registry: {deletesTags: false}}, ['warn DELETE_UNPROVED']],
  ['clocks far apart', {registry: {aheadOfGitLabMs: -61_000}}, ['forbid CLOCK_SKEW']],
  ['clocks apart', {registry: {aheadOfGitLabMs: 31_000}}, ['warn CLOCK_SKEW']],
  ['clocks nearly together', {registry: {aheadOfGitLabMs: 30_000}}, []],
  ['a wrong clock here', {registry: {gitlabAheadMs: 90_000}}, ['warn CLOCK_SKEW']],
  [
    'a deletion under way',
    {repositories: [repository('', {v1}, {deletion: 'delete_ongoing'})]},
    ['forbid DELETION_UNDER_WAY'],
  ],
  [
    'a deletion that failed',
    {repositories: [repository('', {v1}, {deletion: 'delete_failed'})]},
    ['warn DELETION_UNDER_WAY'],
  ],
  [
    'a path that is too deep',
    {repositories: [repository('a/b', {v1}, {to: `${HOST}/a..b`, whyNotTo: tooDeep})]},
    ['forbid NAME_INVALID'],
  ],
  ['a tag without a name', {repositories: [unnamed()]}, ['forbid TAG_NAME_INVALID']],
  [
    'a schema 1 image',
    {repositories: [repository('', {v1, old: schema1})]},
    ['forbid SCHEMA1_UNSUPPORTED'],
  ],
  [
    'an image that is not whole',
    {repositories: [repository('', {missing})]},
    ['forbid SOURCE_INCOMPLETE'],
  ],
  ['a tag without its manifest', {repositories: [gone()]}, ['forbid MANIFEST_NOT_FOUND']],
  ['layers that are elsewhere', {repositories: [foreign()]}, ['warn FOREIGN_LAYERS']],
  [
    'unknown media types',
    {repositories: [repository('', {v1}, {unknownMediaTypes: ['application/x']})]},
    ['warn MEDIA_TYPE_UNKNOWN'],
  ],
  [
    'a protected path',
    {rules: {repositories: [{pattern: `${FROM}*`, delete: 60}]}},
    ['forbid PROTECTED'],
  ],
  [
    'a path that is protected from others',
    {rules: {repositories: [{pattern: FROM, push: 40}]}},
    ['warn RULE_KEEPS_OLD_PATH'],
  ],
  ['another path', {rules: {repositories: [{pattern: 'org/else/*', push: 60}]}}, []],
  [
    'a protected tag',
    {rules: {tags: [{pattern: 'v*', immutable: false, delete: 60}]}},
    ['forbid PROTECTED'],
  ],
  [
    'a tag protected by RE2',
    {rules: {tags: [{pattern: '^v\\d+$', immutable: false, push: 60}]}},
    ['forbid PROTECTED'],
  ],
  ['an immutable tag', {rules: {tags: [{pattern: 'v1', immutable: true}]}}, ['forbid PROTECTED']],
  [
    'tags protected from others',
    {rules: {tags: [{pattern: 'v*', immutable: false, delete: 40}]}},
    [],
  ],
  ['other tags', {rules: {tags: [{pattern: 'release-*', immutable: true}]}}, []],
  [
    'rules that are not told',
    {registry: {database: true}, rules: {tags: undefined} as object},
    ['warn RULES_NOT_SEEN'],
  ],
  [
    'a policy that runs later',
    {project: {policy: {enabled: true}, policyRunsAt: NOW + 7_200_000}},
    [],
  ],
  [
    'a policy that runs now',
    {project: {policy: {enabled: true}, policyRunsAt: NOW + 60_000}},
    ['warn POLICY_RUNS_SOON'],
  ],
  [
    'a donor that is in use',
    {
      repositories: [
        repository(
          '',
          {v1},
          {atDonor: destination('donor.test/x', {v1: missing.descriptor.digest})},
        ),
      ],
    },
    ['forbid DONOR_OCCUPIED'],
  ],
  ['a donor that is not there', {donor: {donor: project}}, ['forbid DONOR_MISSING']],
  ['one that is to be made', {donor: {donor: project, mayCreate: true}}, ['warn DONOR_MISSING']],
  ['a donor without rights', {donor: {missingActions: ['push']}}, ['forbid TOKEN_SCOPE_MISSING']],
  ['a donor that keeps tags', {donor: {probe: finding}}, ['forbid REGISTRY_READ_ONLY']],
  [
    'a donor that is unfit',
    {donor: {problem: {...finding, code: 'DONOR_UNFIT'}}},
    ['forbid DONOR_UNFIT'],
  ],
  [
    'a disk that is full',
    {donor: {donor: directory, freeBytes: 1}, repositories: [onDisk()]},
    ['forbid DONOR_TOO_SMALL'],
  ],
  [
    'a directory with other files',
    {donor: {donor: directory, stranger: '/donor/notes.txt'}, repositories: [onDisk()]},
    ['forbid DONOR_UNFIT'],
  ],
  [
    'a directory in a CI job',
    {donor: {donor: directory, isInJob: true}, repositories: [onDisk()]},
    ['forbid DONOR_IN_CI_JOB'],
  ],
  [
    'a directory that outlives the CI job',
    {donor: {donor: {...directory, onThisMachine: true}, isInJob: true}, repositories: [onDisk()]},
    [],
  ],
  [
    'a donor where the project moves to',
    {donor: {donor: {...project, path: TO}, mayCreate: true}},
    ['forbid DONOR_UNFIT', 'warn DONOR_MISSING'],
  ],
  [
    'a donor where the project is between two changes',
    {
      donor: {donor: {...project, path: 'new_org/build/app'}, mayCreate: true},
      target: {fullPath: 'new_org/build/tool', path: 'tool'},
    },
    ['forbid DONOR_UNFIT', 'warn DONOR_MISSING'],
  ],
  [
    'a donor with the name of the project',
    {
      donor: {donor: {...project, path: 'new_org/build/the-app'}, mayCreate: true},
      project: {name: 'the-app'},
    },
    ['forbid DONOR_UNFIT', 'warn DONOR_MISSING'],
  ],
  [
    'uploads that are refused',
    {registry: {writes: [{...finding, code: 'UPLOAD_REFUSED'}]}},
    ['forbid UPLOAD_REFUSED'],
  ],
  [
    'media types that the registry was asked about',
    {
      registry: {writes: 'taken'},
      repositories: [repository('', {v1}, {unknownMediaTypes: ['application/x']})],
    },
    [],
  ],
  [
    "a tag that only the registry's token protects",
    {registry: {database: true, tagLimits: {push: [], delete: ['^v1$'], immutable: []}}},
    ['forbid PROTECTED'],
  ],
  [
    'rules that are not told, and a token that names none',
    {
      registry: {database: true, tagLimits: {push: [], delete: [], immutable: []}},
      rules: {tags: undefined} as object,
    },
    [],
  ],
  ['a disk with room', {donor: {donor: directory, freeBytes: 1e9}, repositories: [onDisk()]}, []],
];

describe('the checks of a transfer', () => {
  it.each(TABLE)('find %s', (_what, changes, expected) => {
    const {checks} = transferPlan(transferFacts(changes));
    const found = checks.filter(
      ({code, result}) => result !== 'pass' && code !== 'UNTAGGED_NOT_SEEN',
    );
    expect(found.map(({result, code}) => `${result} ${code}`)).toEqual(expected);
    for (const {message, hint, subject} of found) {
      expect(message).toMatch(/^(?!\s).+(?<!\.)$/s);
      expect(hint).not.toBe('');
      expect(subject).not.toBe('');
    }
  });

  it('list the passed checks if nothing is wrong', () => {
    const {checks} = transferPlan(transferFacts());
    expect(checks.filter(({result}) => result === 'pass').map(({code}) => code)).toEqual([
      'PROJECT_READY',
      'TARGET_FREE',
      'TOKEN_READY',
      'REGISTRY_READY',
      'RULES_READY',
      'DELETE_READY',
    ]);
    expect(checks.filter(({result}) => result === 'forbid')).toEqual([]);
  });

  it('advise only what can be done in a transfer, which has no filters', () => {
    for (const one of [repository('', {missing}), repository('', {v1, old: schema1}), gone()]) {
      const {checks} = transferPlan(transferFacts({repositories: [one]}));
      const hints = checks.flatMap(({result, hint}) => (result === 'forbid' ? [hint] : []));
      expect(hints).toHaveLength(1);
      expect(hints[0]).toContain('delete the tag');
      expect(hints[0]).not.toMatch(/leave it out|exclude-tag/);
    }
  });

  it('do not claim what a fault contradicts', () => {
    expect(passed({project: {archived: true}})).not.toContain('PROJECT_READY');
    expect(passed({project: {accessLevel: 0}})).not.toContain('PROJECT_READY');
    expect(passed({target: {taken: {atTarget: TO}}})).not.toContain('TARGET_FREE');
    expect(passed({token: {scopes: []}})).not.toContain('TOKEN_READY');
    expect(passed({rules: {tags: [{pattern: '*', immutable: true}]}})).not.toContain('RULES_READY');
    expect(passed({donor: {missingActions: ['push']}})).not.toContain('DONOR_READY');
  });

  it('ask nothing of the registry where GitLab moves the images itself', () => {
    const near = {fullPath: 'org/x/app', namespace: {id: 4, fullPath: 'org/x'}};
    const facts = transferFacts({
      target: near,
      registry: {database: true, missingActions: ['push'], deletion: finding},
      rules: {tags: [{pattern: '*', immutable: true}]},
    });
    const {checks} = transferPlan(facts);
    expect(checks.filter(({result}) => result === 'forbid')).toEqual([]);
    expect(checks.map(({code}) => code)).toContain('NATIVE_WAY');
  });
});

function passed(changes: Changes): readonly string[] {
  const {checks} = transferPlan(transferFacts(changes));
  return checks.filter(({result}) => result === 'pass').map(({code}) => code);
}

function unnamed() {
  const one = repository('', {v1});
  const notRead = [{tag: '' as Tag, reason: 'invalid-name', detail: 'no name'} as const];
  return {...one, source: {...one.source, notRead}};
}

function gone() {
  const one = repository('', {v1});
  const notRead = [{tag: 'old' as Tag, reason: 'gone', detail: 'no manifest'} as const];
  return {...one, source: {...one.source, notRead}};
}

function foreign() {
  const far = layer('far', {urls: ['https://far.test/layer']});
  const one = repository('', {v1: image([far])});
  return {...one, source: {...one.source, absentForeign: new Set([far.digest])}};
}

function onDisk() {
  const heavy = image([{mediaType: OCI_MANIFEST, digest: v1.descriptor.digest, size: 1000}]);
  return repository('', {heavy}, {donor: 'oci:/donor/app'});
}
