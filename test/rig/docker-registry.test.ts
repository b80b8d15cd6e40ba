import {describe, expect, test} from 'vitest';
import {countByMethod, isWrite} from '../support/access-log.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {fixture, layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {skopeo} from '../support/skopeo.ts';

describe('startDockerRegistry', () => {
  test('keeps its content across a restart on the same port', async () => {
    await using registry = await startDockerRegistry();
    await pushLayout(layoutDirectory('helm'), registry.url, 'charts/mast');
    const {url} = registry;

    await registry.restart();

    expect(registry.url).toBe(url);
    const report = await verifyLayout(layoutDirectory('helm'), url, 'charts/mast', {
      exactTags: true,
    });
    expect(report).toMatchObject({problems: [], manifests: 2});
  });

  test('logs its requests', async () => {
    await using registry = await startDockerRegistry();
    await pushLayout(layoutDirectory('sparse'), registry.url, 'a/b', {allowRefused: true});
    expect((await registry.requests()).filter(isWrite).length).toBeGreaterThan(0);

    await registry.forgetRequests();
    await fetch(`${registry.url}/v2/a/b/manifests/none`, {headers: {'user-agent': 'a "b"'}});
    const requests = await registry.requests();
    expect(countByMethod(requests)).toEqual({GET: 1});
    expect(requests[0]).toMatchObject({path: '/v2/a/b/manifests/none', status: 404});
  });

  test('accepts schema 1 and foreign layers only when told to', async () => {
    const foreign = layoutDirectory('foreign');
    await using strict = await startDockerRegistry();
    await using lenient = await startDockerRegistry({schema1: true, foreignUrls: true});
    const {registries, tags} = (await readCorpus()).foreign;

    for (const [registry, name] of [
      [strict, 'docker-registry-2.8.2'],
      [lenient, 'docker-registry-2.8.2-options'],
    ] as const) {
      const pushed = await pushLayout(foreign, registry.url, 'foreign', {allowRefused: true});
      const accepted = registries[name]?.accepted ?? [];
      const wanted = accepted === 'all' ? Object.keys(tags) : accepted;
      expect([...pushed.tags].sort()).toEqual([...wanted].sort());
    }
  });

  test('asks for a token when it is set up to', async () => {
    await using registry = await startDockerRegistry({
      tokenAuth: {
        realm: 'http://127.0.0.1:1/jwt/auth',
        service: 'container_registry',
        issuer: 'the-issuer',
        rootcertbundle: fixture('certificates/token-service.pem'),
      },
    });
    const answer = await fetch(`${registry.url}/v2/a/tags/list`);
    await answer.arrayBuffer();
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(
      'Bearer realm="http://127.0.0.1:1/jwt/auth",service="container_registry",scope="repository:a:pull"',
    );
  });

  test('a configuration that it cannot use is an error with its log', async () => {
    await expect(startDockerRegistry({config: {storage: {nonesuch: {}}}})).rejects.toThrow(
      /did not start.*nonesuch/s,
    );
  });
});

describe('verifyLayout', () => {
  test('reports missing content', async () => {
    await using registry = await startDockerRegistry();
    await pushLayout(layoutDirectory('busybox'), registry.url, 'b', {tags: ['1.35-amd64']});
    const {problems} = await verifyLayout(layoutDirectory('busybox'), registry.url, 'b');
    expect(problems.join('\n')).toContain('manifests/latest: 404');
  });
});

test('skopeo runs against the registry without credentials of the machine', async () => {
  await using registry = await startDockerRegistry();
  await pushLayout(layoutDirectory('zstd'), registry.url, 'z');
  const result = await skopeo(['list-tags', '--tls-verify=false', `docker://${registry.host}/z`]);
  expect(result).toMatchObject({code: 0, stderr: ''});
  const {Tags: tags} = JSON.parse(result.stdout) as {Tags: string[]};
  expect(tags.sort()).toEqual(['busybox', 'chunked', 'files', 'mixed']);
});
