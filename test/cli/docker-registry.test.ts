import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startTokenServer} from '../../src/sandbox/tokens.ts';
import {isWrite} from '../support/access-log.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory, type LayoutName, LAYOUTS, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const USER = {name: 'ada', password: 'p:ss wörd', grants: [{repository: '**', actions: ['*']}]};
const corpus = await readCorpus();
const cleanup = new AsyncDisposableStack();
/** Without authentication. */
let source: DockerRegistry;
/** Wants tokens. */
let destination: DockerRegistry;
let authFile: string;
let authorizationFor: (repository: string) => Promise<string>;

beforeAll(async () => {
  const temp = cleanup.use(await tempDirectory());
  const tokens = cleanup.use(await startTokenServer({users: [{...USER, grants: [everything]}]}));
  await writeFile(temp.join('tokens.pem'), tokens.certificatePem);
  const {realm, service, issuer} = tokens;
  source = cleanup.use(await startDockerRegistry({foreignUrls: true}));
  destination = cleanup.use(
    await startDockerRegistry({
      foreignUrls: true,
      tokenAuth: {realm, service, issuer, rootcertbundle: temp.join('tokens.pem')},
    }),
  );
  const basic = Buffer.from(`${USER.name}:${USER.password}`).toString('base64');
  authFile = temp.join('auth.json');
  await writeFile(authFile, JSON.stringify({auths: {[destination.host]: {auth: basic}}}));
  authorizationFor = async (repository) => {
    const query = new URLSearchParams({service, scope: `repository:${repository}:pull`});
    const answer = await fetch(`${realm}?${query.toString()}`, {
      headers: {authorization: `Basic ${basic}`},
    });
    return `Bearer ${((await answer.json()) as {token: string}).token}`;
  };
});
afterAll(() => cleanup.disposeAsync());

const everything = {repository: '**', actions: ['*']} as const;

function copy(from: string, to: string, ...flags: readonly string[]) {
  const places = [`${source.host}/${from}`, `docker://${destination.host}/${to}`];
  return transship(['copy', ...places, '--authfile', authFile, ...flags]);
}

async function problems(name: LayoutName, repository: string, tags: readonly string[]) {
  const report = await verifyLayout(layoutDirectory(name), destination.url, repository, {
    authorization: await authorizationFor(repository),
    tags,
    // An artifact whose subject nobody has gets a fallback tag that its layout does not list.
    exactTags: name !== 'referrers',
  });
  return report.problems;
}

describe('transship copy, from docker-registry to docker-registry', () => {
  test.each(LAYOUTS.filter((name) => name !== 'sparse'))('brings all of %s', async (name) => {
    const {url} = source;
    const {tags} = await pushLayout(layoutDirectory(name), url, `in/${name}`, {allowRefused: true});
    expect(tags.length).toBeGreaterThan(0);

    const run = await copy(`in/${name}`, `out/${name}`);

    expect(run.stderr).not.toContain('error:');
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/Done: \d+ images? copied/);
    expect(await problems(name, `out/${name}`, tags)).toEqual([]);
  });

  test('again, makes no request that writes and no GET of a manifest', async () => {
    await pushLayout(layoutDirectory('busybox'), source.url, 'again/in');
    expect((await copy('again/in', 'again/out')).code).toBe(0);
    await destination.forgetRequests();
    await source.forgetRequests();

    const again = await copy('again/in', 'again/out');

    expect(again.code).toBe(0);
    expect(again.stdout).toContain('0 images copied');
    expect((await destination.requests()).filter(isWrite)).toEqual([]);
    expect(
      (await source.requests()).filter(
        ({method, path}) => method === 'GET' && path.includes('/manifests/'),
      ),
    ).toEqual([]);
  });

  test('without credentials says whose side it is on', async () => {
    await pushLayout(layoutDirectory('helm'), source.url, 'anonymous/in');
    const places = [`${source.host}/anonymous/in`, `${destination.host}/anonymous/out`];
    const run = await transship(['copy', ...places]);
    expect(run.code).toBe(1);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/^error: .*\[UNAUTHORIZED\]\n side: the destination\n hint: log in/);
  });
});

describe('what the destination refuses', () => {
  test.each(['foreign', 'odd', 'attested'] as const)(
    'of %s is reported in its words, and the rest is there',
    async (name) => {
      await using sandbox = await startSandbox();
      await using strict = await startDockerRegistry();
      const tags = await loadLayout(sandbox.storage, layoutDirectory(name), 'a' as RepositoryPath);
      const expected = corpus[name].registries['docker-registry-2.8.2'];
      const refused = expected?.refused ?? {};
      const accepted = tags.filter((tag) => !(tag in refused));

      const places = [`${sandbox.host}/a`, `${strict.host}/a`];
      const run = await transship(['copy', ...places, '--format', 'json']);

      const {steps} = JSON.parse(run.stdout) as RunResult;
      expect(run.code).toBe(Object.keys(refused).length > 0 ? 1 : 0);
      for (const [tag, {http, code}] of Object.entries(refused)) {
        // The sandbox does not hold this one: its kind of manifest was withdrawn.
        if (tag === 'artifact') continue;
        const step = steps.find(({id}) => id.endsWith(`:${tag}`));
        expect(step).toMatchObject({
          outcome: 'failed',
          error: {
            side: 'destination',
            message: expect.stringMatching(new RegExp(`answered ${http}.*${code}`)),
          },
        });
        const answer = await fetch(`${strict.url}/v2/a/manifests/${tag}`);
        expect(answer.status).toBe(404);
      }
      const report = await verifyLayout(layoutDirectory(name), strict.url, 'a', {tags: accepted});
      expect(report.problems).toEqual([]);
    },
  );
});
