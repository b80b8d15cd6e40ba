import {Gitlab} from '@gitbeaker/rest';
import {
  type GitLabSandboxOptions,
  startGitLabSandbox,
} from '../../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed, type SeedInput} from '../../../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {skopeo} from '../../support/skopeo.ts';

/** Two groups of one owner, a project with an image and one without, and a token of each kind. */
export const SEED: SeedInput = {
  users: [
    {name: 'root', password: 'root-password', admin: true},
    {name: 'ada', password: 'ada-password'},
    {name: 'dev'},
    {name: 'eve'},
  ],
  groups: [
    {path: 'org', members: {ada: 'owner'}},
    {path: 'org/build', members: {dev: 'developer'}},
    {path: 'new_org/build', members: {ada: 'owner'}},
  ],
  projects: [
    {
      path: 'org/build/app',
      images: [{name: 'cr', layout: layoutDirectory('busybox'), ref: '1.35-amd64', tag: 'v2.9.1'}],
    },
    {path: 'org/build/empty'},
  ],
  tokens: [
    {value: 'root-api', user: 'root', scopes: ['api']},
    {value: 'ada-api', user: 'ada', scopes: ['api']},
    {value: 'ada-registry', user: 'ada', scopes: ['read_registry', 'write_registry']},
    {value: 'ada-write', user: 'ada', scopes: ['write_registry']},
    {value: 'ada-read', user: 'ada', scopes: ['read_api']},
    {value: 'ada-old', user: 'ada', scopes: ['api'], expires: '2001-01-01'},
    {value: 'dev-api', user: 'dev', scopes: ['api']},
    {value: 'eve-api', user: 'eve', scopes: ['api']},
    {value: 'app-job', user: 'ada', kind: 'job', project: 'org/build/app'},
    {
      value: 'app-deploy',
      user: 'ada',
      kind: 'deploy',
      name: 'gitlab+deploy-token-1',
      scopes: ['read_registry', 'write_registry'],
      project: 'org/build/app',
    },
  ],
};

export type RigOptions = Omit<GitLabSandboxOptions, 'seed'> & {readonly seed?: SeedInput};

export type Rig = Awaited<ReturnType<typeof startRig>>;

/** A sandbox, with independent clients. */
export async function startRig({seed = SEED, ...options}: RigOptions = {}) {
  const sandbox = await startGitLabSandbox({
    ...options,
    seed: parseSeed(seed),
    switches: {deletionDelayMs: 0, ...options.switches},
  });
  const {host, url} = sandbox;
  return {
    sandbox,
    host,
    url,
    /** An independent GitLab client. */
    client: (token = 'ada-api') => new Gitlab({host: url, token}),
    /** A request to the REST API. */
    api: async (
      method: string,
      path: string,
      {token = 'ada-api', body, headers}: ApiOptions = {},
    ) => {
      const answer = await fetch(`${url}/api/v4/${path}`, {
        method,
        redirect: 'manual',
        headers: {
          ...(token === '' ? {} : {'private-token': token}),
          ...(body === undefined ? {} : {'content-type': 'application/json'}),
          ...headers,
        },
        ...(body === undefined ? {} : {body: JSON.stringify(body)}),
      });
      const text = await answer.text();
      return {status: answer.status, headers: answer.headers, text, json: jsonOf(text)};
    },
    /** A token of the registry for these scopes, and the permissions in it. */
    registryToken: async (credentials: string | undefined, ...scopes: readonly string[]) => {
      const query = new URLSearchParams({service: 'container_registry'});
      for (const scope of scopes) query.append('scope', scope);
      const basic = Buffer.from(credentials ?? '').toString('base64');
      const answer = await fetch(`${url}/jwt/auth?${query.toString()}`, {
        headers: credentials === undefined ? {} : {authorization: `Basic ${basic}`},
      });
      const {token = '', errors} = (await answer.json()) as {token?: string; errors?: unknown};
      const payload = jsonOf(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
      const {access = []} = (payload ?? {}) as {access?: readonly Granted[]};
      const granted = access.map(({name, actions}) => `${name}:${actions.join(',')}`);
      return {status: answer.status, token, granted, errors};
    },
    /** skopeo with credentials. */
    skopeo: (args: readonly string[], credentials = 'ada:ada-api') => {
      const [command = '', ...rest] = args;
      const flags =
        command === 'copy'
          ? [
              `--dest-creds=${credentials}`,
              `--src-creds=${credentials}`,
              '--dest-tls-verify=false',
              '--src-tls-verify=false',
            ]
          : [`--creds=${credentials}`, '--tls-verify=false'];
      return skopeo([command, ...flags, ...rest]);
    },
    [Symbol.asyncDispose]: () => sandbox.close(),
  };
}

interface ApiOptions {
  /** Empty: without a token. */
  readonly token?: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Granted {
  readonly name: string;
  readonly actions: readonly string[];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
