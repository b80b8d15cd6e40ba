import {expect, test, vi} from 'vitest';
import type {Intercept} from '../../src/sandbox/exchange.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {credentialHelpers} from '../support/credential-helper.ts';
import {transferSeed} from '../support/plan-transfer.ts';
import {startRawServer} from '../support/raw-server.ts';
import {transship} from '../support/transship.ts';

const TRANSFER = 'plan transfer org/build/app --to new_org/build/ --donor donors/parking --gitlab';
const transfer = (url: string): readonly string[] => [...TRANSFER.split(' '), url];

test('the first signal ends the planning of a transfer where GitLab does not answer', async () => {
  const stop = new AbortController();
  await using server = await startRawServer(() => stop.abort());
  const url = new URL(server.url).origin;
  const env = {GITLAB_TOKEN: 'a-token'};
  const {code} = await transship(transfer(url), {env, stopping: stop.signal});
  expect(code).toBe(130);
});

test('a trial of the donor that was begun is undone, though a signal comes', async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const intercept: Intercept = async ({method, path}, next) => {
    if (path.endsWith('/transship-probe')) {
      seen.push(method);
      stop.abort();
    }
    return await next();
  };
  await using rig = await startRig({seed: transferSeed(), intercept});
  const env = {GITLAB_TOKEN: 'ada-api'};
  const {code} = await transship(transfer(rig.url), {env, stopping: stop.signal});
  expect([code, seen]).toEqual([130, ['PUT', 'DELETE']]);
});

test('the first signal ends what waits for a credential helper', async () => {
  const stop = new AbortController();
  await using helpers = await credentialHelpers();
  await helpers.add('slow', 'exec sleep 600');
  const users = [{name: 'ada', password: 'a-long-password', grants: []}];
  await using sandbox = await startSandbox({auth: {kind: 'basic', users}});
  const DOCKER_AUTH_CONFIG = JSON.stringify({credHelpers: {[sandbox.host]: 'slow'}});
  const env = {DOCKER_AUTH_CONFIG, PATH: helpers.path};
  const args = ['plan', 'copy', `${sandbox.host}/app`, 'oci:nowhere'];
  const running = transship(args, {env, stopping: stop.signal});
  await vi.waitUntil(async () => (await helpers.calls()).length > 0, {timeout: 30_000});
  stop.abort();
  expect(await running).toMatchObject({code: 130});
});
