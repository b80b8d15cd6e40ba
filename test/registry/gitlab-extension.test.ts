import {expect, test} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {Registry} from '../../src/registry/registry.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';

const CALL = {signal: new AbortController().signal};
const PATH = 'org/build/app/cr' as RepositoryPath;

function open(host: string) {
  const http = new HttpClient();
  const credentials = {kind: 'basic', username: 'ada', password: 'ada-api'} as const;
  const registry = new Registry({
    host,
    side: 'source',
    http,
    credentials: () => Promise.resolve(credentials),
  });
  return {registry, [Symbol.asyncDispose]: () => http[Symbol.asyncDispose]()};
}

test.each([
  ['metadata-db', true],
  ['legacy', false],
] as const)("GitLab's registry tells of itself: %s", async (mode, database) => {
  await using rig = await startRig({mode});
  await using opened = open(rig.host);
  const traits = await opened.registry.traits(CALL);
  expect(traits).toMatchObject({version: '4.32.0-gitlab', deletesTags: true, database});
  expect(Math.abs((traits.clock ?? 0) - Date.now())).toBeLessThan(60_000);
});

test('another registry reports nothing', async () => {
  await using sandbox = await startSandbox();
  await using opened = open(sandbox.host);
  const {clock, ...traits} = await opened.registry.traits(CALL);
  expect(traits).toEqual({deletesTags: false, database: false});
  expect(clock).toBeTypeOf('number');
  expect(await opened.registry.tagTimes(PATH, CALL)).toBeUndefined();
});

test('a database knows when tags were pushed, page by page', async () => {
  const at = Date.UTC(2026, 0, 2);
  await using rig = await startRig({
    clock: () => at,
    // A page holds at most what is asked for; here it holds one.
    intercept: (exchange, next) => {
      if (exchange.path.startsWith('/gitlab/v1/')) exchange.query.set('n', '1');
      return next();
    },
  });
  const {skopeo, host} = rig;
  await skopeo(['copy', `docker://${host}/${PATH}:v2.9.1`, `docker://${host}/${PATH}:again`]);
  await using opened = open(host);
  expect(await opened.registry.tagTimes(PATH, CALL)).toEqual(
    new Map([
      ['again', at],
      ['v2.9.1', at],
    ]),
  );
});

test('without a database, it is unknown', async () => {
  await using rig = await startRig({mode: 'legacy'});
  await using opened = open(rig.host);
  expect(await opened.registry.tagTimes(PATH, CALL)).toBeUndefined();
});
