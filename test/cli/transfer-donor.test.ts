import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {dirname, join, relative} from 'node:path';
import {describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {ProjectMove, TransferPlan} from '../../src/model/transfer-plan.ts';
import {type Exchange, type Intercept, refusal} from '../../src/sandbox/exchange.ts';
import {parsePlan} from '../../src/plan/plan-file.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const OLD = 'org/build/app/cr';

const SEED = {
  users: [{name: 'ada'}, {name: 'bob'}],
  groups: [
    {path: 'org/build', members: {ada: 'owner' as const, bob: 'owner' as const}},
    {path: 'org/other', members: {ada: 'owner' as const}},
    {path: 'new_org/build', members: {ada: 'owner' as const}},
  ],
  projects: [
    {
      path: 'org/build/app',
      images: [{name: 'cr', layout: layoutDirectory('attested'), tag: 'v2.9.1'}],
    },
  ],
  tokens: [
    {value: 'ada-api', user: 'ada', scopes: ['api']},
    {value: 'bob-api', user: 'bob', scopes: ['api']},
  ],
};

type RigOptions = Parameters<typeof startRig>[0];

function run(args: readonly string[], {env, ...more}: TransshipOptions = {}) {
  return transship(args, {env: {GITLAB_TOKEN: 'ada-api', ...env}, ...more});
}

/** A GitLab with a project that is to move, and a directory for plan and donor. */
async function startMove(options: RigOptions = {}) {
  await using parts = new AsyncDisposableStack();
  const rig = parts.use(await startRig({mode: 'legacy', seed: SEED, ...options}));
  const directory = parts.use(await tempDirectory());
  const file = directory.join('move.plan.json');
  const plan = (args: readonly string[], more?: TransshipOptions) => {
    const wish = `plan transfer org/build/app --to new_org/build/ --gitlab ${rig.url}`;
    return run([...wish.split(' '), '--out', file, ...args], more);
  };
  const own = parts.move();
  return {
    rig,
    directory,
    file,
    run,
    plan,
    planned: async () => {
      const {id, moves} = parsePlan(await readFile(file), file) as TransferPlan;
      return {...(moves[0] as ProjectMove), id};
    },
    apply: (args: readonly string[] = [], more?: TransshipOptions) =>
      run(['apply', file, '--yes', ...args], more),
    tagsAt: (path: string) => rig.sandbox.storage.manifests.tags(path as RepositoryPath),
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}

type Move = Awaited<ReturnType<typeof startMove>>;

function writes({rig}: Move): readonly string[] {
  return rig.sandbox.log.entries
    .filter(({method}) => !['GET', 'HEAD'].includes(method))
    .map(({method, path}) => `${method} ${path}`);
}

describe('a donor directory', () => {
  test.each([
    ['with files in it', ['notes.txt']],
    ['with a file where a layout would be', ['app.cr']],
    ["with somebody's project where a layout would be", ['app.cr', 'main.c']],
    ['with an index.json of something else', ['app.cr', 'index.json']],
  ])('%s is refused when planning, and nothing is touched', async (_what, names) => {
    await using move = await startMove();
    const path = move.directory.join('donor', ...names);
    await mkdir(dirname(path), {recursive: true});
    await writeFile(path, '{}');
    const planned = await move.plan(['--donor', move.directory.join('donor')]);
    expect(planned.code).toBe(3);
    expect(planned.stdout).toContain('DONOR_UNFIT');
    expect(planned.stdout).toContain(path);
    expect(writes(move).filter((line) => !line.startsWith('DELETE'))).toEqual([]);
  });

  test.each([
    ['is a file', ''],
    ['is below a file', '/below'],
  ])('that %s is refused', async (_what, below) => {
    await using move = await startMove();
    await writeFile(move.directory.join('donor'), '');
    const planned = await move.plan(['--donor', `${move.directory.join('donor')}${below}`]);
    expect([planned.code, planned.stdout.includes('DONOR_UNFIT')]).toEqual([3, true]);
    expect(planned.stdout).not.toContain('DONOR_READY');
  });

  test('with other files since planning is not changed', async () => {
    await using move = await startMove();
    await move.plan(['--donor', move.directory.join('donor')]);
    await mkdir(move.directory.join('donor'));
    await writeFile(move.directory.join('donor', 'notes.txt'), 'mine');
    const applied = await move.apply();
    expect(applied.code).toBe(1);
    expect(applied.stdout).toContain('DONOR_UNFIT');
    expect(await readdir(move.directory.join('donor'))).toEqual(['notes.txt']);
    expect(await move.tagsAt(OLD)).toEqual(['v2.9.1']);
  });

  test('is removed with all that the plan wrote', async () => {
    await using move = await startMove();
    await move.plan(['--donor', move.directory.join('donor')]);
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    expect((await readdir(move.directory.path)).toSorted()).toEqual([
      'move.journal.ndjson',
      'move.plan.json',
    ]);
  });

  test('keeps other content, and itself if it existed before', async () => {
    await using move = await startMove();
    const donor = move.directory.join('donor');
    await mkdir(donor);
    await move.plan(['--donor', donor]);
    expect((await move.apply()).code).toBe(0);
    const layout = join(donor, 'app.cr');
    await writeFile(join(layout, 'notes.txt'), 'mine');
    const removed = await move.apply(['--remove-donor', '--progress', 'json']);
    expect([removed.code, removed.stderr.includes('DONOR_KEPT')]).toEqual([0, true]);
    expect(await readdir(layout)).toEqual(['notes.txt']);
    await rm(layout, {recursive: true});
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    expect(await readdir(donor)).toEqual([]);
  });

  test('keeps a layout with an image that this plan did not put there', async () => {
    await using move = await startMove();
    const layout = move.directory.join('donor', 'app.cr');
    await move.plan(['--donor', move.directory.join('donor')]);
    await move.apply();
    await move.run(['copy', `oci:${layoutDirectory('busybox')}:1.35-amd64`, `oci:${layout}:mine`]);
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    const kept = await move.run([
      'copy',
      `oci:${layout}:mine`,
      `oci:${move.directory.join('out')}`,
    ]);
    expect(kept.code).toBe(0);
  });

  test('of an earlier plan is not removed without its journal', async () => {
    await using move = await startMove();
    await move.plan(['--donor', move.directory.join('donor')]);
    await move.apply();
    await rm(move.directory.join('move.journal.ndjson'));
    const removed = await move.apply(['--remove-donor', '--progress', 'json']);
    expect([removed.code, removed.stderr.includes('DONOR_KEPT')]).toEqual([0, true]);
    expect(await readdir(move.directory.join('donor'))).toEqual(['app.cr']);
  });

  test('that is relative moves with the plan', async () => {
    await using move = await startMove();
    const {code} = await move.plan(['--donor', relative('.', move.directory.join('donor'))]);
    expect(code).toBe(0);
    expect((await move.planned()).donor).toMatchObject({path: './donor'});
    expect((await move.planned()).repositories[0]?.donor).toBe('oci:./donor/app.cr');
    await move.apply();
    const other = move.directory.join('elsewhere');
    await mkdir(other);
    for (const name of ['move.plan.json', 'move.journal.ndjson', 'donor'])
      await rename(move.directory.join(name), join(other, name));
    const plan = join(other, 'move.plan.json');
    expect((await move.run(['verify', plan, '--donor'])).code).toBe(0);
    expect((await move.run(['apply', plan, '--remove-donor'])).code).toBe(0);
    expect(await readdir(other)).not.toContain('donor');
  });

  test('that is relative is beside the plan that was applied, not where it was made', async () => {
    await using move = await startMove();
    await move.plan(['--donor', relative('.', move.directory.join('donor'))]);
    expect(await readFile(move.file, 'utf8')).not.toContain(move.directory.path);
    const other = move.directory.join('elsewhere');
    await mkdir(other);
    await rename(move.file, join(other, 'move.plan.json'));
    expect((await move.run(['apply', join(other, 'move.plan.json'), '--yes'])).code).toBe(0);
    expect((await readdir(move.directory.path)).toSorted()).toEqual(['elsewhere']);
    expect(await readdir(join(other, 'donor'))).toEqual(['app.cr']);
  });
});

describe('in a CI job', () => {
  const env = {CI: 'true'};

  test('a donor directory is refused unless it is said to outlive the job', async () => {
    await using move = await startMove();
    const directory = ['--donor', move.directory.join('donor')];
    const refused = await move.plan(directory, {env});
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('DONOR_IN_CI_JOB');
    expect((await move.plan(directory)).code).toBe(0);
    const applied = await move.apply([], {env});
    expect([applied.code, applied.stderr.includes('DONOR_UNFIT')]).toEqual([3, true]);
    expect(await move.tagsAt(OLD)).toEqual(['v2.9.1']);
    expect((await move.plan([...directory, '--donor-on-this-machine'], {env})).code).toBe(0);
    expect((await move.apply([], {env})).code).toBe(0);
  });

  test('so is the default', async () => {
    await using move = await startMove();
    const refused = await move.plan([], {env});
    expect([refused.code, refused.stdout.includes('DONOR_IN_CI_JOB')]).toEqual([3, true]);
    expect((await move.plan([], {env: {CI: 'false'}})).code).toBe(0);
  });
});

/** Refuses the transfer, after all tags are deleted. */
const refuseTransfer: Intercept = async ({method, path}, next) => {
  if (method === 'PUT' && path.endsWith('/transfer')) throw refusal(400, 'UNKNOWN', 'not now');
  return next();
};

describe('a donor directory that is not on this machine', () => {
  test('stops the next run; content of the registry is restored by digest', async () => {
    await using move = await startMove({intercept: refuseTransfer});
    await move.plan(['--donor', move.directory.join('donor')]);
    expect((await move.apply()).code).toBe(1);
    expect(await move.tagsAt(OLD)).toEqual([]);
    await rm(move.directory.join('donor'), {recursive: true});
    const again = await move.apply();
    expect([again.code, again.stderr.includes('DONOR_ABSENT')]).toEqual([1, true]);
    expect(again.stderr).toContain('transship rollback');
    const back = await move.run(['rollback', move.file]);
    expect(back.code).toBe(0);
    expect(await move.tagsAt(OLD)).toEqual(['v2.9.1']);
    const {code, stdout} = await move.run(['verify', move.file, '--format', 'json']);
    // All is as it was: the project has not moved.
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({differences: [], projects: [{place: 'old'}]});
  });

  test('is asked for where the registry has lost an image', async () => {
    const intercept: Intercept = async (exchange, next) => {
      const isLost = exchange.method === 'GET' && exchange.path.includes('/manifests/sha256:');
      if (isLost && isCollected) throw refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return refuseTransfer(exchange, next);
    };
    let isCollected = false;
    await using move = await startMove({intercept});
    await move.plan(['--donor', move.directory.join('donor')]);
    await move.apply();
    await rename(move.directory.join('donor'), move.directory.join('away'));
    isCollected = true;
    const lost = await move.run(['rollback', move.file]);
    expect([lost.code, lost.stderr.includes('DONOR_ABSENT')]).toEqual([1, true]);
    isCollected = false;
    await rename(move.directory.join('away'), move.directory.join('donor'));
    expect((await move.run(['rollback', move.file])).code).toBe(0);
    expect(await move.tagsAt(OLD)).toEqual(['v2.9.1']);
  });

  test('is asked for once the project has moved', async () => {
    const stopping = new AbortController();
    const intercept: Intercept = async ({method, path}, next) => {
      const reply = await next();
      if (method === 'PUT' && path.endsWith('/transfer')) stopping.abort();
      return reply;
    };
    await using move = await startMove({intercept});
    await move.plan(['--donor', move.directory.join('donor')]);
    const stopped = await move.apply([], {stopping: stopping.signal});
    expect(stopped.code).toBe(130);
    // It would be refused.
    expect(stopped.stdout).not.toContain('roll back');
    await rm(move.directory.join('donor'), {recursive: true});
    const again = await move.apply(['--format', 'json']);
    const failed = (JSON.parse(again.stdout) as RunResult).steps.find((step) => step.error);
    expect(failed).toMatchObject({id: 'retag', error: {code: 'DONOR_ABSENT'}});
    expect(failed?.error?.hint).not.toContain('rollback');
  });
});

const NEW_DONOR = ['--donor', 'org/build/parking', '--create-donor'];

async function makeProject({rig}: Move, body: object = {}) {
  const {json: group} = await rig.api('GET', 'groups/org%2Fbuild');
  const made = await rig.api('POST', 'projects', {
    token: 'bob-api',
    body: {path: 'parking', namespace_id: (group as {id: number}).id, ...body},
  });
  expect(made.status).toBe(201);
  return (made.json as {id: number}).id;
}

async function policyOf({rig}: Move, id: number) {
  const {json} = await rig.api('GET', `projects/${id}`);
  return (json as {container_expiration_policy?: object}).container_expiration_policy;
}

const POLICY = {enabled: true, cadence: '7d', keep_n: 10, older_than: '30d', name_regex: '.*'};

async function setPolicy({rig}: Move, id: number) {
  const body = {container_expiration_policy_attributes: POLICY};
  expect((await rig.api('PUT', `projects/${id}`, {body})).status).toBe(200);
}

describe('a donor project that the plan creates', () => {
  test('is a step of the review, and so is its removal', async () => {
    await using move = await startMove();
    const planned = await move.plan(NEW_DONOR);
    expect(planned.code).toBe(0);
    expect(planned.stdout).toContain('create the private project org/build/parking');
    expect(planned.stdout).toContain('and the project');
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    const {json} = await move.rig.api('GET', 'projects/org%2Fbuild%2Fparking');
    expect(json).not.toMatchObject({path: 'parking'});
  });

  test('is not mistaken for another user’s project, which is not changed', async () => {
    await using move = await startMove();
    await move.plan(NEW_DONOR);
    const id = await makeProject(move);
    await setPolicy(move, id);
    const before = writes(move);
    const applied = await move.apply(['--remove-donor']);
    expect([applied.code, applied.stderr.includes('[DRIFT]')]).toEqual([4, true]);
    expect(writes(move)).toEqual(before);
    expect(await policyOf(move, id)).toMatchObject({enabled: true});
  });

  test('is found again when the answer to its creation was lost', async () => {
    const stopping = new AbortController();
    const intercept: Intercept = async ({method, path}, next) => {
      const reply = await next();
      if (method !== 'POST' || !path.endsWith('/projects') || stopping.signal.aborted) return reply;
      stopping.abort();
      throw refusal(502, 'UNKNOWN', 'bad gateway');
    };
    await using move = await startMove({intercept});
    await move.plan(NEW_DONOR);
    expect((await move.apply()).code).not.toBe(0);
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    const {status} = await move.rig.api('GET', 'projects/org%2Fbuild%2Fparking');
    expect(status).toBe(404);
  });

  test('stays with the images of others, with its cleanup policy as it was', async () => {
    await using move = await startMove({
      intercept: async ({method, path}, next) => {
        const reply = await next();
        // As an instance does whose new projects have a policy at work.
        if (method === 'POST' && path.endsWith('/projects')) await setPolicy(move, await donorId());
        return reply;
      },
    });
    const donorId = async () => {
      const {json} = await move.rig.api('GET', 'projects/org%2Fbuild%2Fparking');
      return (json as {id: number}).id;
    };
    await move.plan(NEW_DONOR);
    expect((await move.apply()).code).toBe(0);
    const {host} = move.rig;
    const login = {
      TRANSSHIP_DESTINATION_USERNAME: 'bob',
      TRANSSHIP_DESTINATION_PASSWORD: 'bob-api',
    };
    const image = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
    const mine = await move.run(['copy', image, `${host}/org/build/parking/mine:1`], {env: login});
    expect(mine.code).toBe(0);
    const removed = await move.apply(['--remove-donor', '--progress', 'json']);
    expect([removed.code, removed.stderr.includes('DONOR_KEPT')]).toEqual([0, true]);
    expect(await move.tagsAt('org/build/parking/mine')).toEqual(['1']);
    expect(await policyOf(move, await donorId())).toMatchObject(POLICY);
  });
});

async function forgeJournal(move: Move, entries: readonly object[]): Promise<void> {
  const {id} = await move.planned();
  const begun = {type: 'run', plan: id, at: '2026-01-01T00:00:00Z'};
  const lines = [begun, ...entries].map((entry) => `${JSON.stringify(entry)}\n`);
  await writeFile(move.directory.join('move.journal.ndjson'), lines.join(''));
}

describe('a forged journal', () => {
  test('does not have another project deleted', async () => {
    await using move = await startMove();
    await move.plan(NEW_DONOR);
    const id = await makeProject(move, {path: 'victim'});
    const made = {type: 'made', what: 'project', place: 'org/build/parking', id};
    expect((await move.apply()).code).toBe(0);
    await forgeJournal(move, [made, {...made, mark: 'x'}]);
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    const {json} = await move.rig.api('GET', `projects/${id}`);
    expect(json).toMatchObject({path: 'victim', marked_for_deletion_on: null});
  });

  test('does not have a cleanup policy switched on or changed', async () => {
    await using move = await startMove();
    const id = await makeProject(move, {path: 'victim'});
    await setPolicy(move, id);
    const off = {container_expiration_policy_attributes: {enabled: false}};
    await move.rig.api('PUT', `projects/${id}`, {body: off});
    await move.plan(['--donor', move.directory.join('donor')]);
    const {project} = await move.planned();
    const before = await policyOf(move, project.id);
    const policy = {enabled: true, keep_n: 1};
    await forgeJournal(move, [
      {type: 'pause', project: id, policy},
      {type: 'pause', project: project.id, policy},
    ]);
    expect((await move.apply()).code).toBe(0);
    expect(await policyOf(move, id)).toMatchObject({...POLICY, enabled: false});
    expect(await policyOf(move, project.id)).toEqual(before);
  });
});

/** A donor project whose owner switches its policy on after planning. */
async function startWithPolicy(intercept?: Intercept) {
  const move = await startMove(intercept ? {intercept} : {});
  const id = await makeProject(move);
  await move.plan(['--donor', 'org/build/parking']);
  await setPolicy(move, id);
  return {move, id};
}

describe('a donor project that was there before', () => {
  test('keeps a tag that points elsewhere by now, and the project', async () => {
    await using move = await startMove();
    await makeProject(move);
    await move.plan(['--donor', 'org/build/parking']);
    expect((await move.apply()).code).toBe(0);
    const donor = (await move.planned()).repositories[0]?.donor ?? '';
    const path = donor.slice(donor.indexOf('/') + 1) as RepositoryPath;
    const image = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
    await move.run(['copy', image, `${donor}:v2.9.1`], {
      env: {TRANSSHIP_DESTINATION_USERNAME: 'bob', TRANSSHIP_DESTINATION_PASSWORD: 'bob-api'},
    });
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    expect(await move.tagsAt(path)).toEqual(['v2.9.1']);
  });

  test('has its cleanup policy back at the end', async () => {
    const {move, id} = await startWithPolicy();
    await using _ = move;
    expect((await move.apply()).code).toBe(0);
    expect(await policyOf(move, id)).toMatchObject(POLICY);
  });

  test('has its cleanup policy back when the images cannot be pulled', async () => {
    let isClosed = false;
    const {move, id} = await startWithPolicy(async ({method, path}, next) => {
      if (isClosed && method === 'PUT' && path.includes('/parking/'))
        throw refusal(400, 'MANIFEST_INVALID', 'no');
      return next();
    });
    await using _ = move;
    isClosed = true;
    expect((await move.apply()).code).toBe(1);
    expect(await policyOf(move, id)).toMatchObject(POLICY);
  });

  test('has its cleanup policy back once the images are, and not before', async () => {
    const {move, id} = await startWithPolicy(refuseTransfer);
    await using _ = move;
    expect((await move.apply()).code).toBe(1);
    expect(await policyOf(move, id)).toMatchObject({enabled: false});
    expect((await move.run(['rollback', move.file])).code).toBe(0);
    expect(await policyOf(move, id)).toMatchObject(POLICY);
  });
});

/** Opens uploads where nothing answers. */
const moveUploads: Intercept = async ({method, route}, next) => {
  const reply = await next();
  const {location} = reply.headers;
  if (method !== 'POST' || route.kind !== 'uploads' || typeof location !== 'string') return reply;
  // Port 1, where nothing answers, stands for the one that is left out.
  return {...reply, headers: {...reply.headers, location: location.replace(/:\d+\//, ':1/')}};
};

describe('with a directory as the donor, before anything is deleted, it is found that the registry', () => {
  const refusals: readonly (readonly [string, string, (exchange: Exchange) => boolean])[] = [
    [
      'opens no upload',
      'UPLOAD_REFUSED',
      ({method, route}) => method === 'POST' && route.kind === 'uploads',
    ],
    [
      'takes no bytes',
      'UPLOAD_REFUSED',
      ({method, route}) => method === 'PATCH' && route.kind === 'upload',
    ],
    [
      'closes no upload',
      'UPLOAD_REFUSED',
      ({method, route}) => method === 'PUT' && route.kind === 'upload',
    ],
    [
      'takes no manifest',
      'MANIFEST_REFUSED',
      ({method, route}) => method === 'PUT' && route.kind === 'manifest',
    ],
  ];

  test.each(refusals)('%s', async (_what, code, isMeant) => {
    let isClosed = true;
    const intercept: Intercept = async (exchange, next) => {
      if (isClosed && isMeant(exchange)) throw refusal(403, 'DENIED', 'not here');
      return next();
    };
    await using move = await startMove({intercept});
    const donor = ['--donor', move.directory.join('donor')];
    const planned = await move.plan(donor);
    expect([planned.code, planned.stdout.includes(code)]).toEqual([3, true]);
    isClosed = false;
    expect((await move.plan(donor)).code).toBe(0);
    isClosed = true;
    const applied = await move.apply(['--format', 'json']);
    const failed = (JSON.parse(applied.stdout) as RunResult).steps.find((step) => step.error);
    expect([applied.code, failed?.id]).toEqual([1, 'probe']);
    expect(await move.tagsAt(OLD)).toEqual(['v2.9.1']);
    isClosed = false;
    expect((await move.apply()).code).toBe(0);
  });

  test('names uploads without its port', async () => {
    await using move = await startMove({intercept: moveUploads});
    const planned = await move.plan(['--donor', move.directory.join('donor')]);
    expect([planned.code, planned.stdout.includes('UPLOAD_REFUSED')]).toEqual([3, true]);
  });

  test('takes a media type no longer', async () => {
    await using move = await startMove({mode: 'metadata-db'});
    const {storage} = move.rig.sandbox;
    const type = 'application/vnd.acme.odd.config.v1+json';
    await storeImage(storage, OLD as RepositoryPath, 'odd', [someBytes(10)], type);
    const planned = await move.plan(['--donor', move.directory.join('donor')]);
    expect(planned.code).toBe(3);
    expect(planned.stdout).toMatch(/MANIFEST_REFUSED.*unknown media type/s);
  });

  test('and all is as it was', async () => {
    await using move = await startMove();
    const tree = async () => {
      const {storage} = move.rig.sandbox;
      return [await storage.repositories(), await move.tagsAt(OLD)];
    };
    const before = await tree();
    expect((await move.plan(['--donor', move.directory.join('donor')])).stdout).toContain(
      'UPLOAD_READY',
    );
    expect(await tree()).toEqual(before);
  });
});

/** The rules of a version of GitLab that shows them to nobody. */
const hideRules: Intercept = async ({path}, next) => {
  if (path.includes('/protection/tag/rules')) throw refusal(404, 'UNKNOWN', '404 Not Found');
  return next();
};

describe("a rule that only the registry's token shows", () => {
  const rule = {
    tag_name_pattern: 'v2*',
    minimum_access_level_for_push: 'admin',
    minimum_access_level_for_delete: 'admin',
  };
  const protect = async ({rig}: Move) => {
    const path = 'projects/org%2Fbuild%2Fapp/registry/protection/tag/rules';
    expect((await rig.api('POST', path, {body: rule})).status).toBe(201);
  };

  test('forbids the plan', async () => {
    await using move = await startMove({mode: 'metadata-db'});
    await protect(move);
    const planned = await move.plan(['--donor', move.directory.join('donor')]);
    expect([planned.code, planned.stdout.includes('PROTECTED')]).toEqual([3, true]);
  });

  test('is found where GitLab shows none, and again before the first deletion', async () => {
    let isHidden = false;
    const intercept: Intercept = (exchange, next) =>
      isHidden ? hideRules(exchange, next) : next();
    await using move = await startMove({mode: 'metadata-db', intercept});
    const donor = ['--donor', move.directory.join('donor')];
    expect((await move.plan(donor)).code).toBe(0);
    const image = `${move.rig.host}/${OLD}`;
    await move.rig.skopeo(['copy', `docker://${image}:v2.9.1`, `docker://${image}:free`]);
    expect((await move.plan(donor)).code).toBe(0);
    await protect(move);
    const applied = await move.apply(['--format', 'json']);
    const failed = (JSON.parse(applied.stdout) as RunResult).steps.find((step) => step.error);
    expect(failed).toMatchObject({id: 'delete-old', error: {code: 'PROTECTED'}});
    expect((await move.tagsAt(OLD)).toSorted()).toEqual(['free', 'v2.9.1']);
    isHidden = true;
    const planned = await move.plan([...donor.slice(0, 1), move.directory.join('donor2')]);
    expect([planned.code, planned.stdout.includes('PROTECTED')]).toEqual([3, true]);
  });
});

test('a project with image repositories and no tags in them moves', async () => {
  await using move = await startMove();
  const {manifests} = move.rig.sandbox.storage;
  await manifests.untag(OLD as RepositoryPath, 'v2.9.1' as never);
  expect((await move.plan([])).code).toBe(0);
  const applied = await move.apply();
  expect([applied.code, applied.stderr]).toEqual([0, '']);
  const {json} = await move.rig.api('GET', 'projects/org%2Fbuild%2Fapp');
  expect(json).not.toMatchObject({path_with_namespace: 'org/build/app'});
});

describe('a donor project to be created is refused when planning', () => {
  test.each([
    ['with a reserved name', 'org/other/badges', 'NAME_INVALID'],
    ['with a name that GitLab does not take', 'org/other/-spare', 'DONOR_UNFIT'],
    ['where a group is', 'org/other', 'NAME_TAKEN'],
    ['with the name of a project beside it', 'org/other/spare', 'NAME_TAKEN'],
  ])('%s', async (_what, donor, code) => {
    const projects = [...SEED.projects, {path: 'org/other/parked'}];
    await using move = await startMove({seed: {...SEED, projects}});
    await move.rig.api('PUT', 'projects/org%2Fother%2Fparked', {body: {name: 'spare'}});
    const planned = await move.plan(['--donor', donor, '--create-donor']);
    expect(planned.code).toBe(3);
    expect(planned.stdout + planned.stderr).toContain(code);
    expect(planned.stdout).not.toContain('DONOR_READY');
  });
});

describe('verify --donor after the donor was removed', () => {
  test.each([
    ['a project that the plan created', ['--donor', 'org/other/spare', '--create-donor']],
    ['a project that was there', ['--donor', 'org/other/parked']],
    ['a directory', []],
  ])('reports it: %s', async (_what, donor) => {
    const projects = [...SEED.projects, {path: 'org/other/parked'}];
    await using move = await startMove({seed: {...SEED, projects}});
    await move.plan(donor.length > 0 ? donor : ['--donor', move.directory.join('donor')]);
    expect((await move.apply(['--remove-donor'])).code).toBe(0);
    const told = toldError(await move.run(['verify', move.file, '--donor']));
    expect(told).toMatchObject({code: 'DONOR_ABSENT', exit: 1});
    expect(told.message).toContain('this plan removed its images from the donor');
    expect(told.hint).toContain('new_org/build/app');
    expect((await move.run(['verify', move.file])).code).toBe(0);
    // Without the journal it is not known who did.
    await rm(move.directory.join('move.journal.ndjson'));
    const blind = await move.run(['verify', move.file, '--donor']);
    expect(blind.code).not.toBe(0);
    expect(blind.stderr).not.toContain('FORBIDDEN');
  });
});
