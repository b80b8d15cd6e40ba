import {readFile} from 'node:fs/promises';
import {buffer} from 'node:stream/consumers';
import {Readable} from 'node:stream';
import type {Exchange, Intercept} from '../../src/sandbox/exchange.ts';
import {type GitLabSandbox, startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {testAuthority} from '../support/certificates.ts';
import {answering} from '../support/credential-helper.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {startHttpServer} from '../support/http-server.ts';
import {identified} from '../support/plan-files.ts';
import {type Case, expectEnd, formsOf, type Trial} from './trial.ts';

/*
 * Every kind of credential, every command that reads a plan or makes requests, and every way in which a plan may name a
 * host that the user did not. What may go where is docs/security.md, "Where secrets go".
 */

const LAYOUT = layoutDirectory('helm');
const GROUP = 'hosts and credentials';

/** An instance that writes down all that it is told. */
interface Party {
  readonly sandbox: GitLabSandbox;
  readonly url: string;
  readonly host: string;
  /** Requests, each as one text: its line, its headers, its body. */
  readonly heard: string[];
}

async function asText(exchange: Exchange): Promise<string> {
  const {method, path, query, headers} = exchange;
  const body = await buffer(Readable.from(exchange.body));
  exchange.body = Readable.from([body]);
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
  return [
    `${method} ${path}?${decodeURIComponent(query.toString())}`,
    JSON.stringify(headers),
    Buffer.from(basic, 'base64').toString(),
    decodeURIComponent(body.toString('latin1').replaceAll('%', '%25')),
    body.toString(),
  ].join('\n');
}

/** @param challenge what its registry asks for */
async function startParty(
  trial: Trial,
  tokens: readonly string[],
  challenge: 'Basic' | 'Bearer' = 'Bearer',
): Promise<Party> {
  const heard: string[] = [];
  const intercept: Intercept = async (exchange, next) => {
    heard.push(await asText(exchange));
    const reply = await next();
    if (reply.status !== 401 || challenge === 'Bearer') return reply;
    return {...reply, headers: {...reply.headers, 'www-authenticate': 'Basic realm="registry"'}};
  };
  const sandbox = trial.use(
    await startGitLabSandbox({
      intercept,
      switches: {deletionDelayMs: 0},
      seed: parseSeed({
        users: [{name: 'ada', password: 'ada-password'}],
        groups: [
          {path: 'org', members: {ada: 'owner'}},
          {path: 'new', members: {ada: 'owner'}},
        ],
        projects: [
          {path: 'org/app', images: [{name: 'cr', layout: LAYOUT}]},
          {path: 'org/parking'},
          {path: 'org/out'},
        ],
        tokens: tokens.map((value) => ({value, user: 'ada', scopes: ['api']})),
      }),
    }),
  );
  return {sandbox, url: sandbox.url, host: sandbox.host, heard};
}

/** What the credentials are for, and where files of them may be put. */
interface Named {
  readonly trial: Trial;
  readonly host: string;
  readonly url: string;
}

interface Credential {
  /** Names no host: it may go to the hosts of a plan that was made here. */
  readonly ofPlan?: 'gitlab' | 'registry';
  /** The variables that hold it; files are named by variables, too. */
  readonly give: (secret: string, named: Named) => Promise<Readonly<Record<string, string>>>;
}

const variables =
  (give: (secret: string, named: Named) => Readonly<Record<string, string>>) =>
  (secret: string, named: Named) =>
    Promise.resolve(give(secret, named));

/** The variable for one instance, as docs/security.md writes it. */
function hostVariable(host: string): string {
  return `TRANSSHIP_GITLAB_TOKEN_${host.toUpperCase().replaceAll(/[.:]/g, '_')}`;
}

const login = (secret: string) => ({auth: Buffer.from(`ada:${secret}`).toString('base64')});

async function authFile(name: string, content: object, {trial}: Named): Promise<string> {
  return await trial.plant(trial.home('logins', name), JSON.stringify(content));
}

const side = (prefix: string, isHost: boolean): Credential => ({
  ...(isHost ? {} : {ofPlan: 'registry'}),
  give: variables((secret, {host}) => ({
    [`${prefix}_USERNAME`]: 'ada',
    [`${prefix}_PASSWORD`]: secret,
    ...(isHost ? {[`${prefix}_HOST`]: host} : {}),
  })),
});

const CREDENTIALS: Readonly<Record<string, Credential>> = {
  GITLAB_TOKEN: {ofPlan: 'gitlab', give: variables((secret) => ({GITLAB_TOKEN: secret}))},
  TRANSSHIP_GITLAB_TOKEN: {
    ofPlan: 'gitlab',
    give: variables((secret) => ({TRANSSHIP_GITLAB_TOKEN: secret})),
  },
  'a token for the host': {
    give: variables((secret, {host}) => ({[hostVariable(host)]: secret})),
  },
  '--token-file': {
    ofPlan: 'gitlab',
    give: async (secret, {trial}) => ({
      TRANSSHIP_TOKEN_FILE: await trial.plant(trial.home('token'), secret),
    }),
  },
  'CI_JOB_TOKEN of CI_SERVER_URL': {
    give: variables((secret, {url}) => ({CI_JOB_TOKEN: secret, CI_SERVER_URL: url})),
  },
  'CI_JOB_TOKEN of nowhere': {give: variables((secret) => ({CI_JOB_TOKEN: secret}))},
  'CI_JOB_TOKEN of CI_REGISTRY': {
    give: variables((secret, {url, host}) => ({
      CI_JOB_TOKEN: secret,
      CI_SERVER_URL: url,
      CI_REGISTRY: host,
    })),
  },
  CI_REGISTRY_PASSWORD: {
    give: variables((secret, {host}) => ({
      CI_REGISTRY: host,
      CI_REGISTRY_USER: 'ada',
      CI_REGISTRY_PASSWORD: secret,
    })),
  },
  'a deploy token': {
    give: variables((secret, {host}) => ({
      CI_REGISTRY: host,
      CI_DEPLOY_USER: 'ada',
      CI_DEPLOY_PASSWORD: secret,
    })),
  },
  'a deploy token without CI_REGISTRY': {
    give: variables((secret) => ({CI_DEPLOY_USER: 'ada', CI_DEPLOY_PASSWORD: secret})),
  },
  'TRANSSHIP_SOURCE_*': side('TRANSSHIP_SOURCE', false),
  'TRANSSHIP_SOURCE_* with a host': side('TRANSSHIP_SOURCE', true),
  'TRANSSHIP_DESTINATION_*': side('TRANSSHIP_DESTINATION', false),
  'TRANSSHIP_DESTINATION_* with a host': side('TRANSSHIP_DESTINATION', true),
  TRANSSHIP_SOURCE_TOKEN: {
    ofPlan: 'registry',
    give: variables((secret) => ({TRANSSHIP_SOURCE_TOKEN: secret})),
  },
  'TRANSSHIP_DESTINATION_TOKEN with a host': {
    give: variables((secret, {host}) => ({
      TRANSSHIP_DESTINATION_TOKEN: secret,
      TRANSSHIP_DESTINATION_HOST: host,
    })),
  },
  "docker's config.json": {
    give: async (secret, named) => {
      await authFile('docker/config.json', {auths: {[named.host]: login(secret)}}, named);
      return {DOCKER_CONFIG: named.trial.home('logins', 'docker')};
    },
  },
  "podman's auth.json": {
    give: async (secret, named) => {
      const content = {auths: {[`${named.host}/org`]: login(secret)}};
      await authFile('podman/containers/auth.json', content, named);
      return {XDG_RUNTIME_DIR: named.trial.home('logins', 'podman')};
    },
  },
  REGISTRY_AUTH_FILE: {
    give: async (secret, named) => ({
      REGISTRY_AUTH_FILE: await authFile(
        'registry.json',
        {auths: {[`http://${named.host}/v1/`]: {identitytoken: secret}}},
        named,
      ),
    }),
  },
  DOCKER_AUTH_CONFIG: {
    give: variables((secret, {host}) => ({
      DOCKER_AUTH_CONFIG: JSON.stringify({auths: {[host]: {registrytoken: secret}}}),
    })),
  },
  '--authfile': {
    give: async (secret, named) => ({
      TRANSSHIP_AUTHFILE: await authFile(
        'given.json',
        {auths: {[named.host]: {username: 'ada', password: secret}}},
        named,
      ),
    }),
  },
  'a credential helper': {
    give: async (secret, named) => {
      const {trial, host} = named;
      const body = `[ "$server" = "${host}" ] || { echo 'credentials not found in native keychain'; exit 1; }`;
      await trial.plant(
        trial.home('bin', 'docker-credential-trial'),
        `#!/bin/sh\nread -r server\n${body}\n${answering('ada', secret)}\n`,
        0o700,
      );
      const content = {credHelpers: {[host]: 'trial'}, credsStore: 'trial'};
      await authFile('helped/config.json', content, named);
      return {
        DOCKER_CONFIG: named.trial.home('logins', 'helped'),
        PATH: `${trial.home('bin')}:/usr/bin:/bin`,
      };
    },
  },
};

/** Those that may be given together. */
const TOGETHER = Object.keys(CREDENTIALS).filter(
  (name) =>
    !/_TOKEN(?: with a host)?$|nowhere|without CI_REGISTRY|helper/.test(name) ||
    name === 'GITLAB_TOKEN',
);

/** A plan file of somebody. */
interface PlanFile {
  readonly name: string;
  readonly file: string;
  /** It was made here, by the user. */
  readonly isOwn: boolean;
}

const MIGRATION = (from: string, to: string) =>
  `version: 1\ngitlab: {projects: create, groups: create}\nroutes: [{from: '${from}', to: '${to}'}]\n`;

/** The wishes that lead to plans of all kinds. */
const WISHES: Readonly<
  Record<string, (party: Party, trial: Trial) => Promise<readonly string[]> | readonly string[]>
> = {
  'copies from it': ({host}) => ['copy', `${host}/org/app/cr`, 'oci:got'],
  'copies to it': ({host}) => ['copy', `oci:layout`, `${host}/org/out/x`],
  'creates projects there': async ({host, url}, trial) => [
    await trial.plant(trial.path('m.yaml'), MIGRATION(`${host}/org/app/cr`, `${host}/new/fresh/x`)),
    '--gitlab',
    url,
  ],
  'moves a project': ({url}) => [
    'transfer',
    'org/app',
    '--to',
    'new/',
    '--donor',
    'org/parking',
    '--gitlab',
    url,
  ],
  'moves a project by a folder': ({url}) => [
    'transfer',
    'org/app',
    '--to',
    'new/',
    '--donor',
    './donor',
    '--gitlab',
    url,
  ],
  'moves a group': ({url}) => [
    'transfer',
    '--group',
    'org',
    '--to',
    'new/',
    '--donor',
    './donor',
    '--gitlab',
    url,
  ],
  'deletes tags': ({host}) => ['delete', `${host}/org/app/cr`, '--tag', '*'],
};

async function planned(
  trial: Trial,
  party: Party,
  token: string,
  wish: string,
  how: {readonly isOwn: boolean; readonly signKey?: string},
): Promise<PlanFile> {
  const label = [wish, how.isOwn ? 'made here' : 'foreign', how.signKey ? 'signed' : ''];
  const name = label.filter(Boolean).join(', ');
  const file = `${name.replaceAll(/[^a-z]+/g, '-')}.plan.json`;
  const env = {
    GITLAB_TOKEN: token,
    DOCKER_AUTH_CONFIG: JSON.stringify({auths: {[party.host]: login(token)}}),
    ...(how.isOwn ? {} : {HOME: trial.path('home-of-another')}),
  };
  const args = (await WISHES[wish]?.(party, trial)) ?? [];
  const sign = how.signKey === undefined ? [] : ['--sign-key', how.signKey];
  expectEnd(await trial.transshipHere(['plan', ...args, '--out', file, ...sign], {env}), 0);
  return {name, file, isOwn: how.isOwn};
}

/** What is done with a plan. */
const COMMANDS: Readonly<Record<string, (file: string, home: Party) => readonly string[]>> = {
  apply: (file) => ['apply', file, '--yes'],
  'apply all that may be': (file) => [
    'apply',
    file,
    '--yes',
    '--adopt-new-tags',
    '--remove-donor',
    '--on-failure',
    'continue',
  ],
  'apply --shard': (file) => ['apply', file, '--yes', '--shard', '1/2'],
  'apply --phase create': (file) => ['apply', file, '--yes', '--phase', 'create'],
  verify: (file) => ['verify', file],
  'verify --read --repair': (file) => ['verify', file, '--read', '--repair'],
  'verify --donor': (file) => ['verify', file, '--donor'],
  rollback: (file) => ['rollback', file, '--yes', '--adopt-new-tags'],
  status: (file) => ['status', file],
  'show --comment': (file) => ['show', file, '--comment', '--format', 'markdown'],
  refs: (file) => ['refs', file, '--scan', '.'],
  pipeline: (file) => ['pipeline', file, '--parallel', '2'],
  'plan --since': (file) => ['plan', 'again.yaml', '--since', file, '--out', 'since.plan.json'],
  'plan --policy': (file) => ['plan', 'again.yaml', '--out', file.replace('.plan', '.new.plan')],
  inventory: (_file, {host}) => ['inventory', `${host}/org`],
  doctor: (_file, {host, url}) => ['doctor', `${host}/org/app/cr`, '--gitlab', url],
  explain: (file) => ['explain', file],
};

/** A job of a merge request at the user's own GitLab. */
const job = ({url}: Party) => ({
  CI_API_V4_URL: `${url}/api/v4`,
  CI_PROJECT_ID: '1',
  CI_MERGE_REQUEST_IID: '1',
});

/** @throws Error where somebody heard one of the secrets that it may not hear */
function expectUnheard(
  heard: readonly string[],
  secrets: ReadonlyMap<string, string>,
  may: (name: string) => boolean,
  what: string,
): void {
  for (const [name, secret] of secrets) {
    if (may(name)) continue;
    const request = heard.find((text) => formsOf(secret).some((form) => text.includes(form)));
    if (request !== undefined) throw new Error(`${what}: ${name} went to\n${request}`);
  }
}

/** Both parties, a key of the one, and whatever the user has for their own. */
async function setUp(trial: Trial, names: readonly string[], challenge: 'Basic' | 'Bearer') {
  const secrets = new Map(names.map((name, at) => [name, trial.secret(`credential-${at}`)]));
  const home = await startParty(trial, ['home-token', ...secrets.values()]);
  const evil = await startParty(trial, ['evil-token'], challenge);
  const named = {trial, host: home.host, url: home.url};
  const env: Record<string, string> = {};
  for (const [name, secret] of secrets)
    Object.assign(env, await CREDENTIALS[name]?.give(secret, named));
  expectEnd(await trial.transshipHere(['copy', `oci:${LAYOUT}`, 'oci:layout']), 0);
  const again = `version: 1\nroutes: [{from: '${home.host}/org/app/cr', to: 'oci:again'}]\n`;
  await trial.plant(trial.path('again.yaml'), again);
  return {secrets, home, evil, env};
}

type Setting = Awaited<ReturnType<typeof setUp>>;

/** A plan of the user's own, in which somebody wrote other hosts. */
async function edited(
  trial: Trial,
  plan: PlanFile,
  name: string,
  change: (text: string) => string,
): Promise<PlanFile> {
  const text = change(await readFile(trial.path(plan.file), 'utf8'));
  const file = `${name.replaceAll(/[^a-z]+/g, '-')}.edited.plan.json`;
  await trial.plant(trial.path(file), JSON.stringify(identified(JSON.parse(text) as object)));
  return {name, file, isOwn: false};
}

/** All plans in which the other party is named. */
async function plansOf(
  trial: Trial,
  {home, evil}: Setting,
  key: string | undefined,
): Promise<readonly PlanFile[]> {
  const plans: PlanFile[] = [];
  for (const wish of Object.keys(WISHES)) {
    plans.push(await planned(trial, evil, 'evil-token', wish, {isOwn: false}));
    if (key !== undefined)
      plans.push(await planned(trial, evil, 'evil-token', wish, {isOwn: false, signKey: key}));
  }
  const moves = await planned(trial, home, 'home-token', 'moves a project', {isOwn: true});
  const copies = await planned(trial, home, 'home-token', 'copies from it', {isOwn: true});
  const gitlab = `"gitlab":"${home.url}"`;
  for (const [name, plan, change] of [
    ['another registry', moves, (text) => text.replaceAll(`${home.host}/`, `${evil.host}/`)],
    ['another GitLab', moves, (text) => text.replaceAll(gitlab, `"gitlab":"${evil.url}"`)],
    ['another path', moves, (text) => text.replaceAll(gitlab, `"gitlab":"${home.url}/other"`)],
    ['all of another', moves, (text) => text.replaceAll(home.host, evil.host)],
    ['copies from another', copies, (text) => text.replaceAll(home.host, evil.host)],
    [
      'another name of the host',
      moves,
      (text) => text.replaceAll(gitlab, `"gitlab":"${home.url.replace('127.0.0.1', 'localhost')}"`),
    ],
  ] as const satisfies readonly (readonly [string, PlanFile, (text: string) => string])[])
    plans.push(await edited(trial, plan, name, change));
  return plans;
}

const NAMED_BY = ['nothing', 'CI_SERVER_URL', 'TRANSSHIP_GITLAB_HOST'] as const;

async function signKey(trial: Trial): Promise<string> {
  const {generateKeyPairSync} = await import('node:crypto');
  const {privateKey, publicKey} = generateKeyPairSync('ed25519');
  await trial.plant(trial.path('plan.pub'), publicKey.export({type: 'spki', format: 'pem'}));
  return await trial.plant(
    trial.path('plan.key'),
    privateKey.export({type: 'pkcs8', format: 'pem'}),
  );
}

/** One command with all plans: the other party learns nothing. */
async function tryForeign(
  trial: Trial,
  names: readonly string[],
  commands: readonly string[],
  {challenge = 'Bearer', namedBy = NAMED_BY, isSigned = false}: TryOptions,
): Promise<void> {
  const setting = await setUp(trial, names, challenge);
  const {secrets, home, evil, env} = setting;
  const key = isSigned ? await signKey(trial) : undefined;
  for (const plan of await plansOf(trial, setting, key)) {
    for (const command of commands) {
      for (const by of namedBy) {
        evil.heard.length = 0;
        home.heard.length = 0;
        const isOfJob = 'CI_SERVER_URL' in env && by === 'nothing';
        if (isOfJob && names.length > 1) continue;
        await trial.transshipHere(COMMANDS[command]?.(plan.file, home) ?? [], {
          env: {
            ...env,
            ...job(home),
            ...(by === 'nothing' ? {} : {[by]: home.url}),
            ...(plan.name.includes('signed') ? {TRANSSHIP_VERIFY_KEY: 'plan.pub'} : {}),
          },
        });
        const what = `${command}, ${plan.name}, named by ${by}`;
        expectUnheard(evil.heard, secrets, () => false, what);
        const other = home.heard.filter((text) => /^\S+ \/other/.test(text));
        expectUnheard(other, secrets, () => false, what);
      }
    }
  }
}

interface TryOptions {
  readonly challenge?: 'Basic' | 'Bearer';
  readonly namedBy?: readonly (typeof NAMED_BY)[number][];
  readonly isSigned?: boolean;
}

/** Those that send something; each credential is given alone there, since one may hide another. */
const SENDING = ['apply', 'verify', 'rollback'];

const together: readonly Case[] = Object.keys(COMMANDS).map((command) => ({
  group: GROUP,
  name: `all credentials, ${command}, foreign plans`,
  seconds: 60,
  run: async (trial) => {
    const options = {isSigned: true, namedBy: ['CI_SERVER_URL', 'TRANSSHIP_GITLAB_HOST']} as const;
    await tryForeign(trial, TOGETHER, [command], options);
  },
}));

const alone: readonly Case[] = Object.entries(CREDENTIALS).flatMap(([name, {ofPlan}]) =>
  // Which login a registry asks for says nothing to GitLab.
  (ofPlan === 'gitlab' ? (['Bearer'] as const) : (['Bearer', 'Basic'] as const)).map(
    (challenge) => ({
      group: GROUP,
      name: `${name}, foreign plans, ${challenge}`,
      seconds: 60,
      run: async (trial: Trial) =>
        await tryForeign(trial, [name], SENDING, {challenge, namedBy: ['nothing']}),
    }),
  ),
);

/** A plan that was made here names its hosts; what belongs to another host stays with that. */
const own: readonly Case[] = Object.entries(CREDENTIALS).map(([name, {ofPlan}]) => ({
  group: GROUP,
  name: `${name}, plans that were made here`,
  seconds: 60,
  run: async (trial) => {
    const {secrets, home, evil, env} = await setUp(trial, [name], 'Bearer');
    for (const wish of Object.keys(WISHES)) {
      for (const by of ofPlan === 'gitlab' ? ['nothing', 'TRANSSHIP_GITLAB_HOST'] : ['nothing']) {
        const plan = await planned(trial, evil, 'evil-token', wish, {isOwn: true});
        for (const command of SENDING) {
          evil.heard.length = 0;
          await trial.transshipHere(COMMANDS[command]?.(plan.file, home) ?? [], {
            env: {...env, ...(by === 'nothing' ? {} : {[by]: home.url})},
          });
          const may = ofPlan === 'registry' || (ofPlan === 'gitlab' && by === 'nothing');
          expectUnheard(evil.heard, secrets, () => may, `${command}, ${wish}, named by ${by}`);
        }
      }
    }
  },
}));

/** That the table can fail: what a credential is for, hears it. */
const control: readonly Case[] = Object.keys(CREDENTIALS)
  .filter((name) => !/nowhere|without CI_REGISTRY/.test(name))
  .map((name) => ({
    group: GROUP,
    name: `${name}, its own host`,
    seconds: 60,
    run: async (trial) => {
      const {secrets, home, env} = await setUp(trial, [name], 'Bearer');
      for (const [wish, more] of [
        ['copies from it', {}],
        ['copies to it', {}],
        ['creates projects there', {TRANSSHIP_GITLAB_HOST: home.url}],
        ['moves a project', {TRANSSHIP_GITLAB_HOST: home.url}],
      ] as const) {
        const plan = await planned(trial, home, 'home-token', wish, {isOwn: true});
        await trial.transshipHere(['apply', plan.file, '--yes'], {env: {...env, ...more}});
      }
      const [secret = ''] = secrets.values();
      if (!home.heard.some((text) => text.includes(secret)))
        throw new Error(`${name} was sent nowhere`);
    },
  }));

/** The same host and port, by another scheme. */
const scheme: Case = {
  group: GROUP,
  name: 'a GitLab of the same host and port, by TLS',
  seconds: 60,
  run: async (trial) => {
    const authority = trial.use(await testAuthority());
    const heard: string[] = [];
    const evil = trial.use(
      await startHttpServer(
        ({method, target, headers, body}, response) => {
          heard.push(`${method} ${target} ${JSON.stringify(headers)} ${body.toString()}`);
          response.writeHead(401, {'www-authenticate': 'Basic realm="r"'}).end('{}');
        },
        {tls: authority.server},
      ),
    );
    const {secrets, home, env} = await setUp(trial, ['GITLAB_TOKEN'], 'Bearer');
    const moves = await planned(trial, home, 'home-token', 'moves a project', {isOwn: true});
    const plan = await edited(trial, moves, 'another scheme', (text) =>
      text.replaceAll(`"gitlab":"${home.url}"`, `"gitlab":"${evil.url}"`),
    );
    for (const by of NAMED_BY.slice(1))
      for (const command of SENDING) {
        const url = evil.url.replace('https:', 'http:');
        const ca = {TRANSSHIP_CA_FILE: authority.authority.certFile};
        await trial.transshipHere(COMMANDS[command]?.(plan.file, home) ?? [], {
          env: {...env, ...ca, [by]: url},
        });
        expectUnheard(heard, secrets, () => false, `${command}, named by ${by}`);
      }
  },
};

export const hosts: readonly Case[] = [...together, ...alone, ...own, ...control, scheme];
