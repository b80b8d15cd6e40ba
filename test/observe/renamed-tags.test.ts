import {expect, test} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {observeRoute} from '../../src/observe/observe-route.ts';
import {makeCopyPlan} from '../../src/plan/copy-plan.ts';
import {Registry} from '../../src/registry/registry.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {NEVER} from '../support/streams.ts';

test('a renamed tag is looked up by its new name at the destination', async () => {
  await using http = new HttpClient();
  await using sandbox = await startSandbox();
  const {tags} = (await readCorpus()).layered;
  const [name = '', digest] =
    Object.entries(tags).map(([tag, {digest: own}]) => [tag, own])[0] ?? [];
  // The image is at both sides under its old name, which says nothing of the new one.
  for (const path of ['from', 'to'])
    await loadLayout(sandbox.storage, layoutDirectory('layered'), path as RepositoryPath);
  const registry = (side: 'source' | 'destination') =>
    new Registry({host: sandbox.host, side, http});
  const [tag, toTag] = [name as Tag, `release-${name}` as Tag];
  const route = await observeRoute(
    {
      source: registry('source').repository('from' as RepositoryPath),
      destination: registry('destination').repository('to' as RepositoryPath),
      select: () => ({selected: [tag], toTags: new Map([[tag, toTag]]), notRead: []}),
      attachmentSubject: () => undefined,
      readAll: false,
      progress: () => undefined,
    },
    {signal: NEVER},
  );
  const wish = {routes: [{source: 'from', destination: 'to', filters: {}}]};
  const {steps} = makeCopyPlan({wish, routes: [{...route, wish: 0}]});
  expect(steps).toMatchObject([
    {tag: toTag, sourceTag: {name: tag, digest}, replaces: null, why: 'there without the tag'},
  ]);
});
