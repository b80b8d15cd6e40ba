import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {Inventory} from '../../src/discovery/inventory.ts';
import {type HttpServer, sendJson, startHttpServer} from '../support/http-server.ts';
import {toldError} from '../support/error-lines.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

/** A product whose API answers with this, and whose repositories each have one tag. */
const serve = (list: (path: string) => unknown): Promise<HttpServer> =>
  startHttpServer(({url}, response) => {
    if (url.pathname.endsWith('/tags/list')) return sendJson(response, 200, {tags: ['one']});
    const answer = list(url.pathname);
    sendJson(response, answer === undefined ? 404 : 200, answer ?? {});
  });

async function inventory(kind: string, place: string) {
  const flags = ['--source-kind', kind, '--depth', 'tags', '--format', 'json'];
  const run = await transship(['inventory', place, ...flags]);
  const {repositories} = JSON.parse(run.stdout) as Inventory;
  return {...run, repositories};
}

describe('a time that is none', () => {
  const HOSTILE = ['\u202etomorrow', 'x'.repeat(1_000_000), 1e300, -1e300, {}, [], true];

  test.each(HOSTILE)('%j keeps no repository of Quay back', async (time) => {
    await using server = await serve((path) =>
      path === '/api/v1/repository'
        ? {repositories: [{namespace: 'team', name: 'app', last_modified: time}]}
        : undefined,
    );
    const {code, repositories} = await inventory('quay', `${server.host}/team`);
    expect(code).toBe(0);
    expect(repositories).toEqual([{repository: 'team/app', tags: 1, selected: 1}]);
  });

  test.each(HOSTILE)('%j keeps no repository of Harbor back', async (time) => {
    await using server = await serve((path) =>
      path === '/api/v2.0/projects'
        ? [{name: 'team'}]
        : path === '/api/v2.0/projects/team/repositories'
          ? [{name: 'team/app', update_time: time}]
          : undefined,
    );
    const {code, repositories} = await inventory('harbor', server.host);
    expect(code).toBe(0);
    expect(repositories).toEqual([{repository: 'team/app', tags: 1, selected: 1}]);
  });
});

test('a name of a megabyte is cut short, and keeps no other repository back', async () => {
  const long = 'x'.repeat(1_000_000);
  await using server = await serve((path) =>
    path === '/api/v1/repository'
      ? {repositories: [long, 'app'].map((name) => ({namespace: 'team', name}))}
      : undefined,
  );
  const {code, stdout, repositories} = await inventory('quay', `${server.host}/team`);
  expect(code).toBe(1);
  expect(repositories.map(({error}) => error?.code)).toEqual([undefined, 'REFERENCE_INVALID']);
  expect(stdout.length).toBeLessThan(10_000);
});

test('a project that is listed many times is read once', async () => {
  await using server = await serve((path) =>
    path === '/api/v2.0/projects'
      ? Array.from({length: 100}, () => ({name: 'team'}))
      : [{name: 'team/app'}],
  );
  const {code, repositories} = await inventory('harbor', server.host);
  expect(code).toBe(0);
  expect(repositories).toHaveLength(1);
  expect(server.requests.filter(({target}) => target.includes('/projects/team/'))).toHaveLength(1);
});

test("a token of Docker Hub's with a line break is an error at once", async () => {
  await using temp = await tempDirectory();
  await using server = await serve((path) =>
    path === '/v2/auth/token' ? {access_token: 'a\nb'} : {results: []},
  );
  const auths = {[server.host]: {auth: Buffer.from('ada:password').toString('base64')}};
  await writeFile(temp.join('auth.json'), JSON.stringify({auths}));
  const flags = ['--source-kind', 'docker-hub', '--authfile', temp.join('auth.json')];
  const run = await transship(['inventory', `${server.host}/team`, ...flags]);
  expect(toldError(run)).toMatchObject({code: 'RESPONSE_INVALID', exit: 1});
  expect(server.requests.filter(({method}) => method === 'POST')).toHaveLength(1);
});
