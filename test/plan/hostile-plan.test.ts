import {describe, expect, it, test} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {parsePlan, serializePlan} from '../../src/plan/plan-file.ts';
import {destination, entry, image, index, source} from '../support/inventories.ts';
import {copyPlan, identified} from '../support/plan-files.ts';
import {otherFacts, repository, transferFacts, transferPlan} from '../support/transfer-facts.ts';

// Whoever writes a plan on purpose gives it the id that fits: its content is all that can be checked.

const one = image(['base', 'one']);
const two = image(['base', 'two']);
const both = index([entry(one, 'linux/amd64'), entry(two, 'linux/arm64')]);

interface CopyFile {
  mediaType: string[];
  repositories: string[];
  routes: number[][];
  blobs: unknown[][];
  manifests: [string, number, number, number[], number[], object?][];
  copies: Record<string, unknown>[];
  blobActions: {route: number; action: string; mountFrom?: number; blobs: number[]}[];
  skipped: Record<string, unknown>[];
  deletions: Record<string, unknown>[];
}

/** Two images to copy, and one that is there. */
function copyFile(): CopyFile {
  const tags = {both, one, done: two};
  const plan = copyPlan([
    {
      source: source('a.test/app', tags),
      destination: destination('b.test/app', {done: two.descriptor.digest}),
    },
  ]);
  return JSON.parse(serializePlan(plan)) as CopyFile;
}

function refusal(file: object): unknown {
  try {
    parsePlan(JSON.stringify(identified(file)), 'plan.json');
    return undefined;
  } catch (error) {
    return error;
  }
}

const FAR = 1_000_000;

describe('a forged plan of copies', () => {
  it('is read if it is valid', () => {
    expect(refusal(copyFile())).toBeUndefined();
  });

  it.each<[string, RegExp, (file: CopyFile) => void]>([
    [
      'a route to no repository',
      /routes\.0\.1: 1000000 /,
      (file) => (file.routes[0] = [0, FAR, 0]),
    ],
    [
      'a route of no wish',
      /routes\.0\.2: 1 is not in wish/,
      (file) => (file.routes[0] = [0, 1, 1]),
    ],
    ['a blob of no media type', /blobs\.0\.1: /, (file) => file.blobs[0]?.splice(1, 1, FAR)],
    [
      'a manifest of no media type',
      /manifests\.0\.1: /,
      (file) => file.manifests[0]?.splice(1, 1, FAR),
    ],
    ['a manifest of no blob', /manifests\.0\.3: /, (file) => file.manifests[0]?.[3].push(FAR)],
    [
      'a child that is not there',
      /manifests\.0: 1000000 /,
      (file) => file.manifests[0]?.[4].push(FAR),
    ],
    ['a manifest in itself', /manifests\.0: 0 is no/, (file) => file.manifests[0]?.[4].push(0)],
    ['a circle of manifests', /manifests\.0: 2 is no/, (file) => file.manifests[0]?.[4].push(2)],
    [
      'a manifest twice',
      /manifests\.3: .* twice/,
      (file) => file.manifests.push(...file.manifests.slice(0, 1)),
    ],
    [
      'an index cut from nothing',
      /manifests\.0: 1000000 /,
      (file) => file.manifests[0]?.splice(5, 1, {cutFrom: {digest: digestOf('x'), keep: [FAR]}}),
    ],
    ['a copy on no route', /copies\.0\.route: /, (file) => change(file.copies, {route: FAR})],
    ['a copy of nothing', /copies\.0\.manifest: /, (file) => change(file.copies, {manifest: FAR})],
    ['a copy that puts nothing', /copies\.0\.put: /, (file) => change(file.copies, {put: []})],
    [
      'a copy that puts what is not there',
      /copies\.0\.put: /,
      (file) => change(file.copies, {put: [FAR, file.copies[0]?.['manifest']]}),
    ],
    [
      'a copy that ends with another',
      /copies\.0\.put: /,
      (file) => change(file.copies, {put: [0]}),
    ],
    [
      'a copy that needs itself',
      /copies\.0\.needs: 0 /,
      (file) => change(file.copies, {needs: [0]}),
    ],
    [
      'a copy that needs what is not there',
      /copies\.0\.needs: /,
      (file) => change(file.copies, {needs: [FAR]}),
    ],
    [
      'a copy twice',
      /copies\.2: copy:b\.test\/app:both appears twice/,
      (file) => file.copies.push({...file.copies[0]}),
    ],
    [
      'a name that is no tag',
      /copies\.0\.tag: the name of an image in a registry/,
      (file) => change(file.copies, {tag: 'x/y:z'}),
    ],
    [
      'a blob on no route',
      /blobActions\.0\.route: /,
      (file) => change(file.blobActions, {route: FAR}),
    ],
    [
      'an action on no blob',
      /blobActions\.0\.blobs: /,
      (file) => change(file.blobActions, {blobs: [FAR]}),
    ],
    [
      'a blob twice',
      /blobActions\.0: .* twice/,
      (file) => change(file.blobActions, {blobs: [0, 0]}),
    ],
    [
      'a mount from nowhere',
      /blobActions\.0: a mount needs mountFrom/,
      (file) => change(file.blobActions, {action: 'mount'}),
    ],
    [
      'a mount from no repository',
      /blobActions\.0\.mountFrom: /,
      (file) => change(file.blobActions, {action: 'mount', mountFrom: FAR}),
    ],
    ['a skip on no route', /skipped\.0\.route: /, (file) => change(file.skipped, {route: FAR})],
    [
      'a blob from a repository that no image is copied from',
      /blobActions\.0: no image is copied from a\.test\/secret to b\.test\/app/,
      (file) => {
        const secret = file.repositories.push('a.test/secret') - 1;
        const route = file.routes.push([secret, 1, 0]) - 1;
        change(file.blobActions, {route});
      },
    ],
    [
      'a mount from a repository that the plan has nothing to do with',
      /blobActions\.0\.mountFrom: .*b\.test\/secret/,
      (file) => {
        const mountFrom = file.repositories.push('b.test/secret') - 1;
        change(file.blobActions, {action: 'mount', mountFrom});
      },
    ],
    [
      'a mount from another registry',
      /blobActions\.0\.mountFrom: .*a\.test\/app/,
      (file) => change(file.blobActions, {action: 'mount', mountFrom: 0}),
    ],
  ])('is refused with %s', (_what, message, forge) => {
    const file = copyFile();
    forge(file);
    const error = refusal(file);
    expect(error).toMatchObject({code: 'PLAN_INVALID', message: expect.stringMatching(message)});
  });

  it('is refused where manifests are nested too deep', () => {
    const file = copyFile();
    for (let depth = 0; depth < 50; depth++) {
      const last = file.manifests.length - 1;
      file.manifests.push([digestOf(`level ${depth}`), 0, 1, [], [last]]);
    }
    expect(refusal(file)).toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringMatching(/nested deeper than 32 levels/),
    });
  });

  it('is refused if a short file expands to endless lists', () => {
    const file = copyFile();
    const width = 150;
    for (let level = 0; level < 30; level++) {
      const before =
        level === 0
          ? []
          : Array.from({length: width}, (_, at) => file.manifests.length - width + at);
      for (let at = 0; at < width; at++)
        file.manifests.push([digestOf(`${level} ${at}`), 0, 1, [], before]);
    }
    const manifest = file.manifests.length - 1;
    for (let at = 0; at < 5_000; at++) file.copies.push({route: 0, manifest, tag: `t${at}`});
    expect(refusal(file)).toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringMatching(/list more than/),
    });
  });

  it('is refused without a long message, however much is wrong with it', () => {
    const file = copyFile();
    change(file.blobActions, {blobs: Array.from({length: 300_000}, () => -1)});
    const error = refusal(file) as Error;
    expect(error).toMatchObject({code: 'PLAN_INVALID'});
    expect(error.message.length).toBeLessThan(700);
  });
});

/** Everything that the plan above copies or finds is deleted at its source. */
function deletingFile(): CopyFile {
  const app = source('a.test/app', {both, one, done: two});
  const there = destination('b.test/app', {done: two.descriptor.digest});
  const tags = new Map(app.roots.flatMap(({tag, digest}) => (tag ? [[tag, digest]] : [])));
  const plan = makeCopyPlan({
    wish: {
      routes: [{source: 'a.test/app', destination: 'b.test/app', filters: {}}],
      deleteSource: true,
    },
    routes: [{source: app, destination: there, wish: 0}],
    deletions: {
      contents: new Map([['a.test/app', {deletion: 'alone', tags, below: new Map()}]]),
    },
  });
  expect(parsePlan(serializePlan(plan), 'plan.json')).toEqual(plan);
  return JSON.parse(serializePlan(plan)) as CopyFile;
}

describe('a forged plan that deletes', () => {
  it('is read if it is valid', () => {
    const file = deletingFile();
    expect(file.deletions.map(({tag}) => tag)).toEqual(['both', 'done', 'one']);
    expect(refusal(file)).toBeUndefined();
  });

  it.each<[string, RegExp, (file: CopyFile) => void]>([
    [
      'what is verified nowhere',
      /deletions\.0: it has no digest/,
      (file) => delete file.deletions[0]?.['copies'],
    ],
    [
      'another digest than the verified one',
      /deletions\.0: .* would be verified, but .* would be deleted/,
      (file) => change(file.deletions, {digest: digestOf('x')}),
    ],
    [
      'what is verified as another image',
      /deletions\.0: .* would be verified, but .* would be deleted/,
      (file) => change(file.deletions, {copies: [0, 1]}),
    ],
    [
      'what is not verified though it was moved',
      /deletions\.0: a moved tag needs copies/,
      (file) => {
        delete file.deletions[0]?.['copies'];
        change(file.deletions, {digest: digestOf('x')});
      },
    ],
    [
      'where it is verified',
      /deletions\.0: it would be verified in the repository that it is deleted from/,
      (file) => change(file.deletions, {repository: file.routes[0]?.[1]}),
    ],
    ['nowhere', /deletions\.0\.repository: /, (file) => change(file.deletions, {repository: FAR})],
    ['after itself', /deletions\.0\.needs: 0 /, (file) => change(file.deletions, {needs: [0]})],
    [
      'a copy of nothing',
      /deletions\.0\.copies: /,
      (file) => change(file.deletions, {copies: [FAR]}),
    ],
    [
      'what is no tag',
      /deletions\.0\.tag: /,
      (file) => change(file.deletions, {tag: '../../_catalog'}),
    ],
    [
      'the same twice',
      /deletions\.3: .* twice/,
      (file) => file.deletions.push({...file.deletions[0]}),
    ],
  ])('is refused: %s', (_what, why, forge) => {
    const file = deletingFile();
    forge(file);
    expect(refusal(file)).toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringMatching(why),
    });
  });
});

describe('a forged plan of a transfer', () => {
  const facts = transferFacts({
    donor: {donor: {kind: 'directory', path: 'donor'}},
    repositories: [repository('', {v1: image(['a', 'b'])}, {donor: 'oci:donor'})],
  });
  interface MoveFile {
    repositories: string[];
    moves: {
      repositories: Record<string, unknown>[];
      steps: ({id: string; kind: string; needs: string[]} & Record<string, unknown>)[];
    }[];
  }
  const moveFile = () => JSON.parse(serializePlan(transferPlan(facts))) as MoveFile;
  const steps = (file: MoveFile) => file.moves[0]?.steps ?? [];

  it.each<[string, RegExp, (file: MoveFile) => void]>([
    [
      'no repository',
      /moves\.0\.repositories\.0\.donor: /,
      (file) => change(file.moves[0]?.repositories ?? [], {donor: FAR}),
    ],
    [
      'a step twice',
      /moves\.0\.steps\.1\.id: .* twice/,
      (file) => steps(file).splice(1, 0, ...steps(file).slice(0, 1)),
    ],
    [
      'a step that needs itself',
      /moves\.0\.steps\.0\.needs: /,
      (file) => change(steps(file), {needs: [steps(file)[0]?.id]}),
    ],
    [
      'a step that needs none of the others',
      /moves\.0\.steps\.0\.needs: x /,
      (file) => change(steps(file), {needs: ['x']}),
    ],
    [
      'an upload to no repository',
      /steps\.\d+\.uploadsTo: /,
      (file) => {
        const probe = steps(file).find(({kind}) => kind === 'probe');
        if (probe) probe['uploadsTo'] = FAR;
      },
    ],
    [
      'the images of another project',
      /moves\.0: .*org\/secret is not a repository of org\/build\/app/,
      (file) => rename(file, 'registry.test/org/build/app', 'registry.test/org/secret'),
    ],
    [
      'the images of a project with a longer name',
      /moves\.0: .*org\/build\/app2 is not a repository of org\/build\/app/,
      (file) => rename(file, 'registry.test/org/build/app', 'registry.test/org/build/app2'),
    ],
    [
      'another new path',
      /moves\.0: .*org\/others is not a repository of new_org\/build\/app/,
      (file) => rename(file, 'registry.test/new_org/build/app', 'registry.test/org/others'),
    ],
    [
      'a copy twice',
      /copies\.\d+: .* twice/,
      (file) => {
        const pull = steps(file).find(({kind}) => kind === 'pull');
        const copies = pull?.['copies'] as object[];
        copies.push({...copies[0]});
      },
    ],
  ])('is refused with %s', (_what, message, forge) => {
    const file = moveFile();
    expect(refusal(file)).toBeUndefined();
    forge(file);
    const error = refusal(file);
    expect(error).toMatchObject({code: 'PLAN_INVALID', message: expect.stringMatching(message)});
  });
});

test('a forged plan of a transfer is refused with a donor project that it does not name', () => {
  const file = JSON.parse(serializePlan(transferPlan(transferFacts()))) as {repositories: string[]};
  expect(refusal(file)).toBeUndefined();
  rename(file, 'registry.test/donors/parking/p12', 'registry.test/org/secret');
  expect(refusal(file)).toMatchObject({
    code: 'PLAN_INVALID',
    message: expect.stringMatching(/org\/secret is not a repository of donors\/parking/),
  });
});

describe('a forged plan of several transfers', () => {
  const several = () =>
    JSON.parse(
      serializePlan(transferPlan(transferFacts(), otherFacts(13, 'lib', {v1: image(['l'])}))),
    ) as {moves: [Move, Move]; manifests: unknown[]};
  interface Move {
    project: {id: number};
    manifests: number[];
    repositories: {from: number; donor: number; to: number}[];
    steps: {id: string; needs: string[]}[];
  }

  it.each<[string, RegExp, (moves: [Move, Move]) => void]>([
    [
      'a project twice',
      /moves\.1\.project\.id: 12 appears twice/,
      ([first, second]) => (second.project.id = first.project.id),
    ],
    [
      'a step of one project in another',
      /moves\.1\.steps\.7\.id: verify-donor:.* appears twice/,
      ([first, second]) =>
        second.steps.splice(
          -1,
          1,
          ...first.steps.slice(1, 2).map((step) => ({...step, needs: []})),
        ),
    ],
    [
      'a repository of another project',
      /moves\.1(?:\.repositories)?: /,
      ([first, second]) => change(second.repositories, {to: first.repositories[0]?.from}),
    ],
    [
      'a manifest that is not there',
      /moves\.1\.manifests: /,
      ([, second]) => (second.manifests = [FAR]),
    ],
    [
      'manifests that are not in order',
      /moves\.1\.manifests: 0 does not come after 1/,
      ([, second]) => (second.manifests = [1, 0]),
    ],
  ])('is refused with %s', (_what, message, forge) => {
    const file = several();
    expect(refusal(file)).toBeUndefined();
    forge(file.moves);
    expect(refusal(file)).toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

function rename(file: {repositories: string[]}, before: string, after: string): void {
  expect(file.repositories).toContain(before);
  file.repositories = file.repositories.map((name) => (name === before ? after : name));
}

/** Changes the first record. */
function change(records: object[], more: object): void {
  records.splice(0, 1, {...records[0], ...more});
}
