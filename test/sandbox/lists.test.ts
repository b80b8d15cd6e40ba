import {describe, expect, test} from 'vitest';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {codes, json, pushBlob, pushImage, putManifest, send, sha256} from './client.ts';

/** Follows the links from page to page. */
async function pages(
  url: string,
  path: string,
  field: 'tags' | 'repositories',
): Promise<string[][]> {
  const found: string[][] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const answer = await send('GET', url + next);
    expect(answer.status).toBe(200);
    found.push((json(answer) as Record<typeof field, string[]>)[field]);
    next = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  return found;
}

describe('tags', () => {
  test('are sorted, in pages of the requested size', async () => {
    await using sandbox = await startSandbox();
    for (const tag of ['b', 'a', '10', '9', 'A']) await pushImage(`${sandbox.url}/v2/g/p`, tag);
    const all = (query: string) => pages(sandbox.url, `/v2/g/p/tags/list${query}`, 'tags');
    expect(await all('')).toEqual([['10', '9', 'A', 'a', 'b']]);
    expect(await all('?n=2')).toEqual([['10', '9'], ['A', 'a'], ['b']]);
    expect(await all('?n=5')).toHaveLength(1);
    expect(await all('?last=A')).toEqual([['a', 'b']]);
    expect(await all('?last=AA')).toEqual([['a', 'b']]);
  });

  test('have pages without a request if the registry has a limit', async () => {
    await using sandbox = await startSandbox({flavour: {tagPageLimit: 2}});
    for (const tag of ['a', 'b', 'c']) await pushImage(`${sandbox.url}/v2/g/p`, tag);
    const found = await pages(sandbox.url, '/v2/g/p/tags/list', 'tags');
    expect(found).toEqual([['a', 'b'], ['c']]);
  });

  test.each(['-1', 'x', '1.5'])('are refused for n=%s', async (n) => {
    await using sandbox = await startSandbox();
    await pushImage(`${sandbox.url}/v2/g/p`, 'a');
    const refused = await send('GET', `${sandbox.url}/v2/g/p/tags/list?n=${n}`);
    expect(refused.status).toBe(400);
    expect(codes(refused)).toEqual(['PAGINATION_NUMBER_INVALID']);
  });

  test('of a repository that is not there are 404', async () => {
    await using sandbox = await startSandbox();
    await pushImage(`${sandbox.url}/v2/g/p/below`, 'a');
    const refused = await send('GET', `${sandbox.url}/v2/g/p/tags/list`);
    expect(refused.status).toBe(404);
    expect(codes(refused)).toEqual(['NAME_UNKNOWN']);
  });
});

test('the catalog has all repositories, in pages', async () => {
  await using sandbox = await startSandbox();
  for (const name of ['b', 'a/c', 'a', 'a/b/blobs/uploads']) {
    await pushBlob(`${sandbox.url}/v2/${name}`, 'blob');
  }
  const found = await pages(sandbox.url, '/v2/_catalog?n=3', 'repositories');
  expect(found).toEqual([['a', 'a/b/blobs/uploads', 'a/c'], ['b']]);
  expect((await send('GET', `${sandbox.url}/v2/_catalog?n=1001`)).status).toBe(400);
});

test('as GitLab has it: pages of 100 tags, no referrers, the digest of a POST ignored', async () => {
  await using sandbox = await startSandbox({flavour: GITLAB_FLAVOUR});
  const repository = `${sandbox.url}/v2/g/p`;
  const {bytes, digest} = await pushImage(repository);
  const names = Array.from({length: 101}, (_, index) => `v${index}`);
  await Promise.all(names.map((name) => putManifest(repository, name, bytes)));
  const found = await pages(sandbox.url, '/v2/g/p/tags/list', 'tags');
  expect(found.map(({length}) => length)).toEqual([100, 1]);
  expect((await send('GET', `${repository}/referrers/${digest}`)).status).toBe(404);
  const post = `${repository}/blobs/uploads/?digest=${sha256('blob')}`;
  expect((await send('POST', post, {body: 'blob'})).status).toBe(202);
});

describe('referrers', () => {
  test('are listed with their type and annotations, as long as they are there', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const subject = {mediaType: OCI_MANIFEST, digest: sha256('not there yet'), size: 13};
    const annotations = {made: 'today'};
    const sbom = await pushImage(repository, undefined, {
      artifactType: 'application/sbom',
      subject,
      annotations,
    });
    const plain = await pushImage(repository, 'tagged', {subject});
    expect(sbom.answer.headers.get('oci-subject')).toBe(subject.digest);

    const url = `${repository}/referrers/${subject.digest}`;
    const all = await send('GET', url);
    expect(all.headers.get('content-type')).toBe(OCI_INDEX);
    const entry = {
      mediaType: OCI_MANIFEST,
      digest: sbom.digest,
      size: sbom.bytes.length,
      artifactType: 'application/sbom',
      annotations,
    };
    const other = {digest: plain.digest, artifactType: 'application/vnd.oci.image.config.v1+json'};
    const {manifests} = json(all) as {manifests: unknown[]};
    expect(manifests).toHaveLength(2);
    expect(manifests).toContainEqual(entry);
    expect(manifests).toContainEqual(expect.objectContaining(other));

    const filtered = await send('GET', `${url}?artifactType=application/sbom`);
    expect(filtered.headers.get('oci-filters-applied')).toBe('artifactType');
    expect(json(filtered)).toEqual({schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry]});

    await send('DELETE', `${repository}/manifests/${sbom.digest}`);
    await send('DELETE', `${repository}/manifests/${plain.digest}`);
    expect(json(await send('GET', url))).toMatchObject({manifests: []});
  });

  test('are not available without the API', async () => {
    await using sandbox = await startSandbox({flavour: {referrers: false}});
    const subject = {mediaType: OCI_MANIFEST, digest: sha256('x'), size: 1};
    const {answer} = await pushImage(`${sandbox.url}/v2/a/b`, 'v1', {subject});
    expect(answer.headers.get('oci-subject')).toBeNull();
    const url = `${sandbox.url}/v2/a/b/referrers/${subject.digest}`;
    expect((await send('GET', url)).status).toBe(404);
  });
});
