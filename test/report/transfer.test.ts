import {describe, expect, it} from 'vitest';
import {shortDigest} from '../../src/model/digest.ts';
import {planJson, renderPlan} from '../../src/report/plan-document.ts';
import {image} from '../support/inventories.ts';
import {
  type Changes,
  FROM,
  HOST,
  repository,
  TO,
  transferFacts,
  transferPlan,
  planOne,
} from '../support/transfer-facts.ts';

const one = image(['one']);
const plan = planOne(
  transferFacts({
    project: {policy: {enabled: true}},
    repositories: [repository('', {v1: one}), repository('tools', {'1.0': one, latest: one})],
  }),
);
const text = renderPlan(plan, 'text');

function lastLine(changes: Changes): string {
  const made = planOne(transferFacts(changes));
  return renderPlan(made, 'text').trimEnd().split('\n').at(-1) ?? '';
}

describe('a transfer as text', () => {
  it('says what moves, where to and by which way', () => {
    expect(text).toMatch(new RegExp(`^  project  ${FROM} \\(12\\)$`, 'm'));
    expect(text).toMatch(new RegExp(`^  to       ${TO}$`, 'm'));
    expect(text).toMatch(/^ {2}way {6}staged: the images wait at the donor$/m);
    expect(text).toMatch(/^ {2}donor {4}donors\/parking$/m);
  });

  it('lists the steps in their order, with what they do', () => {
    const steps = [...text.matchAll(/^ {2}~ (\S+) +(.+?) {2}/gm)].map(([, id, what]) => [id, what]);
    expect(steps).toEqual([
      ['pause', 'pause the cleanup policy'],
      ['pull', '3 images to donors/parking: 0 blobs (0 B) travel, 4 mounted'],
      ['verify-donor', 'compare donors/parking'],
      ['delete-old', `delete 3 tags at ${FROM}`],
      ['change-namespace', 'transfer to new_org/build'],
      ['retag', `retag the images for ${TO}`],
      ['push', `3 images to ${TO}: 0 blobs (0 B) travel, 4 mounted`],
      ['verify-target', `compare ${TO}`],
      ['resume', 'restore the cleanup policy'],
      ['remove-donor', 'delete the tags in donors/parking'],
    ]);
  });

  it('lists every image with digest, size and destination', () => {
    const digest = shortDigest(one.descriptor.digest);
    const row = (from: string, to: string) =>
      expect(text).toMatch(new RegExp(`^  \\+ ${from} +${digest}  [\\d.]+ K?i?B  ${to}$`, 'm'));
    row(`${HOST}/${FROM}:v1`, `${HOST}/${TO}:v1`);
    row(`${HOST}/${FROM}/tools:1\\.0`, `${HOST}/${TO}/tools:1\\.0`);
    row(`${HOST}/${FROM}/tools:latest`, `${HOST}/${TO}/tools:latest`);
  });

  it('shows passed checks and warnings', () => {
    expect(text).toMatch(/^ {2}= REGISTRY_READY /m);
    expect(text).toMatch(/^ {2}\? UNTAGGED_NOT_SEEN .*\n {6}tag /m);
    expect(text).not.toContain('Forbidden');
  });

  it('ends with a summary in one line', () => {
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      `Transfer: 10 steps, 3 images in 2 repositories (0 B travel in 0 blobs, 8 mounted), about ${plan.downtimeSeconds} s without images.`,
    );
    expect(lastLine({repositories: []})).toBe('Transfer: 1 step, no images.');
    const target = {fullPath: 'org/x/app', namespace: {id: 4, fullPath: 'org/x'}};
    expect(lastLine({target, registry: {database: true}})).toBe(
      'Transfer: 2 steps, 1 image in 1 repository moved by GitLab itself.',
    );
    expect(lastLine({project: {archived: true}})).toMatch(
      /It cannot be applied: 1 check forbids it\.$/,
    );
    const there = {fullPath: FROM, namespace: {id: 3, fullPath: 'org/build'}};
    expect(lastLine({target: there})).toBe('Transfer: nothing to do.');
  });
});

describe('a transfer in other forms', () => {
  const forbidden = planOne(transferFacts({token: {scopes: ['<b>']}}));

  it('is the plan itself as JSON', () => {
    const whole = transferPlan(transferFacts());
    expect(JSON.parse([...planJson(whole)].join(''))).toEqual(whole);
  });

  it('has what forbids it first, and text from outside stays text', () => {
    const markdown = renderPlan(forbidden, 'markdown');
    expect(markdown.indexOf('Forbidden')).toBeLessThan(markdown.indexOf('Steps'));
    expect(markdown).toContain('TOKEN_SCOPE_MISSING');
    const html = renderPlan(forbidden, 'html');
    expect(html).toContain('&lt;b&gt;');
    expect(html).not.toContain('<b>');
  });

  it('folds passed checks', () => {
    expect(renderPlan(plan, 'markdown')).toMatch(/<summary>Proved \(\d+\)<\/summary>/);
  });
});
