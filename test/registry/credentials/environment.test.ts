import {describe, expect, test} from 'vitest';
import type {Environment} from '../../../src/http/proxy.ts';
import {
  gitlabJobCredentials,
  sideCredentials,
} from '../../../src/registry/credentials/environment.ts';

describe('the variables of a side', () => {
  const LOGIN = {TRANSSHIP_SOURCE_USERNAME: 'me', TRANSSHIP_SOURCE_PASSWORD: 'pw'};

  test('give a login, and perhaps the host that it is for', () => {
    const credentials = {kind: 'basic', username: 'me', password: 'pw'};
    const prefix = 'TRANSSHIP_SOURCE';
    expect(sideCredentials(LOGIN, 'source')).toEqual({credentials, prefix, host: undefined});
    const env = {...LOGIN, TRANSSHIP_SOURCE_HOST: 'Index.docker.io'};
    expect(sideCredentials(env, 'source')).toEqual({credentials, prefix, host: 'docker.io'});
    expect(sideCredentials(env, 'destination')).toBeUndefined();
  });

  test.each<[Environment, string]>([
    [
      {TRANSSHIP_SOURCE_USERNAME: 'me'},
      'TRANSSHIP_SOURCE_USERNAME is set without TRANSSHIP_SOURCE_PASSWORD',
    ],
    [
      {TRANSSHIP_SOURCE_PASSWORD: 'pw', TRANSSHIP_SOURCE_USERNAME: ''},
      'TRANSSHIP_SOURCE_PASSWORD is set without TRANSSHIP_SOURCE_USERNAME',
    ],
    [
      {...LOGIN, TRANSSHIP_SOURCE_TOKEN: 'tok'},
      'TRANSSHIP_SOURCE_TOKEN and TRANSSHIP_SOURCE_USERNAME are both set',
    ],
  ])('%o is invalid', (env, message) => {
    expect(() => sideCredentials(env, 'source')).toThrow(
      expect.objectContaining({code: 'CREDENTIALS_INVALID', message}),
    );
  });
});

describe('in a GitLab job', () => {
  const JOB = {CI_REGISTRY: 'registry.example.com', CI_JOB_TOKEN: 'job-token'};
  const DEPLOY = {CI_DEPLOY_USER: 'gitlab-deploy-token', CI_DEPLOY_PASSWORD: 'deploy'};
  const LOGIN = {CI_REGISTRY_USER: 'u', CI_REGISTRY_PASSWORD: 'p'};

  test.each<[Environment, object]>([
    [
      {...JOB, ...DEPLOY, ...LOGIN},
      {username: 'u', password: 'p'},
    ],
    [
      {...JOB, ...DEPLOY},
      {username: 'gitlab-deploy-token', password: 'deploy'},
    ],
    [JOB, {username: 'gitlab-ci-token', password: 'job-token'}],
  ])('with %o the registry of the instance has %o', (env, expected) => {
    expect(gitlabJobCredentials(env, 'registry.example.com')).toEqual({kind: 'basic', ...expected});
  });

  test.each<[Environment, string]>([
    [JOB, 'example.com'],
    [JOB, 'registry.example.com:5050'],
    [JOB, 'registry.example.com.evil.test'],
    [{CI_JOB_TOKEN: 'job-token'}, 'registry.example.com'],
    [{CI_REGISTRY: 'registry.example.com'}, 'registry.example.com'],
  ])('with %o, %s gets nothing', (env, host) => {
    expect(gitlabJobCredentials(env, host)).toBeUndefined();
  });
});
