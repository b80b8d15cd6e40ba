import {join} from 'node:path';
import {expect, test} from 'vitest';
import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {pushImage} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** A run that was killed after the referrer was put and before its list was leaves exactly this. */
test.each(['apply', 'copy'])(
  'a referrer that nothing lists is listed by the next %s',
  async (again) => {
    await using source = await startSandbox();
    // As GitLab: without the referrers API, so that the list is ours to write.
    await using destination = await startSandbox({flavour: GITLAB_FLAVOUR});
    await using directory = await tempDirectory();
    const image = await pushImage(source.url, 'app', 'v1');
    const subject = {mediaType: IMAGE, digest: image.digest, size: image.bytes.length};
    const content = {layers: [Buffer.from('a signature')], manifest: {subject}};
    const referrer = await pushImage(source.url, 'app', 'signature', content);
    await fetch(`${source.url}/v2/app/manifests/signature`, {method: 'DELETE'});
    const places = [`${source.host}/app`, `${destination.host}/app`] as const;
    const plan = join(directory.path, 'app.plan.json');
    await transship(['plan', 'copy', ...places, '--out', plan]);
    expect((await transship(['apply', plan])).code).toBe(0);
    const list = `${destination.url}/v2/app/manifests/${image.digest.replace(':', '-')}`;
    expect((await fetch(list, {method: 'DELETE'})).status).toBe(202);

    const run = await transship(again === 'apply' ? ['apply', plan] : ['copy', ...places]);

    expect(run.code).toBe(0);
    const {manifests} = (await (await fetch(list, {headers: {accept: INDEX}})).json()) as {
      manifests: {digest: string}[];
    };
    expect(manifests.map(({digest}) => digest)).toEqual([referrer.digest]);
  },
);
