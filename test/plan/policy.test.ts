import {Ajv2020} from 'ajv/dist/2020.js';
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {type Digest, hexOf} from '../../src/model/digest.ts';
import {TransshipError} from '../../src/model/error.ts';
import type {Manifest} from '../../src/model/manifest.ts';
import type {CopyPlan, Plan} from '../../src/model/plan.ts';
import {policyChecks} from '../../src/plan/policy/policy-checks.ts';
import {policyJsonSchema, readPolicy} from '../../src/plan/policy/policy.ts';
import {destination, image, layer, manifest, source} from '../support/inventories.ts';
import {copyPlan} from '../support/plan-files.ts';
import {repository, transferFacts, transferPlan} from '../support/transfer-facts.ts';

const PLANS = new URL('../../plans/', import.meta.url);
const EXAMPLE = readFileSync(new URL('policy.yaml', PLANS), 'utf8');

/** The codes of what a policy with these lines forbids, and the subjects. */
function findings(plan: Plan, ...lines: readonly string[]): readonly string[] {
  const policy = readPolicy(['version: 1', ...lines].join('\n'), 'limits.yaml');
  return policyChecks(plan, policy).map(({code, subject, result}) => {
    expect(result).toBe('forbid');
    return `${code} ${subject}`;
  });
}

function problemsOf(text: string): readonly string[] {
  try {
    readPolicy(text, 'limits.yaml');
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    if (error.code !== 'POLICY_INVALID') throw error;
    return error.problems.map(({line, column, message}) => `${line}:${column}: ${message}`);
  }
  return [];
}

describe('a policy file', () => {
  it('is read with its sizes in bytes and its registries by their one name', () => {
    expect(readPolicy(EXAMPLE, 'policy.yaml')).toEqual({
      file: 'policy.yaml',
      maxBytes: 500 * 1024 ** 3,
      maxImages: 20_000,
      maxDeletes: 100,
      allowRegistries: ['harbor.acme.example', '*.gitlab.example.com'],
      denyRegistries: ['docker.io'],
      requireSignature: true,
      requirePlatforms: [
        {os: 'linux', architecture: 'amd64'},
        {os: 'linux', architecture: 'arm64'},
      ],
    });
    const hub = readPolicy('{version: 1, denyRegistries: [index.docker.io]}', 'x');
    expect(hub).toMatchObject({denyRegistries: ['docker.io']});
  });

  it('is in the manual', () => {
    const manual = readFileSync(new URL('../docs/policy.md', PLANS), 'utf8');
    expect(manual).toContain(`\n\`\`\`yaml\n${EXAMPLE}\`\`\`\n`);
    for (const key of Object.keys(parse(EXAMPLE) as object)) expect(manual).toContain(`\`${key}\``);
  });

  it('reports all errors, with line and column', () => {
    const text = `version: 2
maxByte: 1GiB
maxBytes: 500 apples
maxDeletes: -1
maxImages: many
allowRegistries: []
denyRegistries:
  - registry.example.com/team
  - team
  - '*.example.com/team'
  - user:secret@registry.example.com
requireSignature: yes please
requirePlatforms: [linux/amd64, arm64]
`;
    expect(problemsOf(text)).toEqual([
      '1:10: 2 is wrong: expected 1',
      expect.stringMatching(/^2:1: "maxByte" is not a key here: did you mean "maxBytes"\? allowed/),
      '3:11: "500 apples" is wrong: write a size such as 500GiB',
      '4:13: -1 is wrong: expected 0 or more',
      '5:12: "many" is wrong: expected a whole number',
      '6:18: a list is wrong: the list is empty',
      ...['"registry.example.com/team"', '"team"', '"*.example.com/team"'].map(
        (value, at) =>
          `${8 + at}:5: ${value} is wrong: write host[:port] or *.domain[:port], without a path`,
      ),
      expect.stringMatching(/^11:5: "\*\*\*@registry\.example\.com" is wrong: it contains cred/),
      '12:19: "yes please" is wrong: expected true or false',
      '13:33: "arm64" is wrong: write os/architecture[/variant], such as linux/arm64',
    ]);
  });

  it.each([
    ['no map', '- a', '1:1: a list is wrong: expected a map'],
    ['no YAML', 'a: [', '1:5: it is not YAML'],
    ['nothing', '', '1:1: null is wrong: expected a map'],
    ['without a version', 'maxBytes: 1', '1:1: "version" is missing: expected 1'],
    ['a key twice', 'version: 1\nmaxBytes: 1\nmaxBytes: 2', '3:1: "maxBytes" is here twice'],
  ])('that is %s is refused', (_what, text, problem) => {
    expect(problemsOf(text)[0]).toContain(problem);
  });

  it('has a published schema, which accepts the example and refuses unknown keys', async () => {
    const file = new URL('policy.schema.json', PLANS);
    await expect(`${JSON.stringify(policyJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(
      file.pathname,
    );
    const validate = new Ajv2020({strict: true, strictTypes: false, allowUnionTypes: true}).compile(
      policyJsonSchema(),
    );
    const example = parse(EXAMPLE) as object;
    expect([validate(example), validate.errors]).toEqual([true, null]);
    expect(validate({...example, maxByte: 1})).toBe(false);
  });
});

const ONE = image(['one']);
const TWO = image(['two']);

function planOf(
  tags: Readonly<Record<string, Manifest>>,
  others: readonly Manifest[] = [],
  there: Readonly<Record<string, Digest>> = {},
): CopyPlan {
  const roots = others.flatMap(({descriptor: {digest}, view}) => {
    const subject = view.kind === 'schema1' ? undefined : view.subject?.digest;
    return subject === undefined ? [] : [{digest, as: 'referrer' as const, subject}];
  });
  const from = source('a.test/team/app', tags, others);
  return copyPlan([
    {
      source: {...from, roots: [...from.roots, ...roots]},
      destination: destination('b.test:5000/app', there),
    },
  ]);
}

describe('maxBytes', () => {
  const plan = planOf({v1: ONE, v2: TWO});

  it('limits the sent bytes', () => {
    const {bytes} = plan.totals;
    expect(findings(plan, `maxBytes: ${bytes}`)).toEqual([]);
    expect(findings(plan, `maxBytes: ${bytes - 1}`)).toEqual(['POLICY_MAX_BYTES limits.yaml']);
    const policy = readPolicy('{version: 1, maxBytes: 1}', 'limits.yaml');
    expect(policyChecks(plan, policy)[0]?.message).toBe(
      `the plan sends ${bytes} bytes, more than maxBytes in limits.yaml allows: 1`,
    );
  });

  it('does not count existing content', () => {
    const there = {v1: ONE.descriptor.digest, v2: TWO.descriptor.digest};
    expect(findings(planOf({v1: ONE, v2: TWO}, [], there), 'maxBytes: 0')).toEqual([]);
  });
});

describe('maxImages', () => {
  it('limits the copied images', () => {
    expect(findings(planOf({v1: ONE, v2: TWO}), 'maxImages: 2')).toEqual([]);
    expect(findings(planOf({v1: ONE, v2: TWO}), 'maxImages: 1')).toEqual([
      'POLICY_MAX_IMAGES limits.yaml',
    ]);
    const done = planOf({v1: ONE, v2: TWO}, [], {v1: ONE.descriptor.digest});
    expect(findings(done, 'maxImages: 1')).toEqual([]);
  });

  it('counts an image of a transfer once', () => {
    const facts = transferFacts({repositories: [repository('', {v1: ONE, v2: TWO})]});
    expect(findings(transferPlan(facts), 'maxImages: 2')).toEqual([]);
    expect(findings(transferPlan(facts), 'maxImages: 1')).toHaveLength(1);
  });
});

describe('maxDeletes', () => {
  it('does not count the tags that a transfer puts back', () => {
    const transfer = transferPlan(
      transferFacts({repositories: [repository('', {v1: ONE, v2: TWO})]}),
    );
    expect(transfer.moves[0]?.steps.map(({kind}) => kind)).toContain('delete-old');
    expect(findings(transfer, 'maxDeletes: 0')).toEqual([]);
  });

  it('limits the steps that delete a tag', () => {
    const {steps, ...plan} = planOf({v1: ONE});
    const deletes = [1, 2].map((at) => ({
      kind: 'delete',
      id: `delete ${at}`,
      repository: 'registry.example/app',
    }));
    const deleting = {...plan, steps: [...steps, ...deletes]} as unknown as CopyPlan;
    expect(findings(deleting, 'maxDeletes: 2', 'maxImages: 1')).toEqual([]);
    expect(findings(deleting, 'maxDeletes: 1')).toEqual(['POLICY_MAX_DELETES limits.yaml']);
  });
});

describe('registries', () => {
  const plan = planOf({v1: ONE});

  it.each<[string, readonly string[]]>([
    ['allowRegistries: [a.test, "b.test:5000"]', []],
    ['allowRegistries: [a.test, b.test]', ['POLICY_REGISTRY b.test:5000']],
    ['allowRegistries: ["*.test"]', ['POLICY_REGISTRY b.test:5000']],
    ['allowRegistries: ["*.test", "*.test:5000"]', []],
    ['allowRegistries: [x.test]', ['POLICY_REGISTRY a.test', 'POLICY_REGISTRY b.test:5000']],
    ['denyRegistries: [a.test]', ['POLICY_REGISTRY a.test']],
    ['denyRegistries: ["*.TEST"]', ['POLICY_REGISTRY a.test']],
    ['denyRegistries: ["*.a.test"]', []],
    ['denyRegistries: [docker.io, localhost]', []],
  ])('%s', (line, expected) => {
    expect(findings(plan, line)).toEqual(expected);
  });

  it('that are allowed and denied are denied', () => {
    const lines = ['allowRegistries: ["*.test", "*.test:5000"]', 'denyRegistries: [a.test]'];
    expect(findings(plan, ...lines)).toEqual(['POLICY_REGISTRY a.test']);
  });

  it.each(['oci:/srv/images', 'oci-archive:/srv/images.tar', 'dir:/srv/image'])(
    'are none where images go to %s',
    (to) => {
      const layout = copyPlan([
        {source: source('a.test/app', {v1: ONE}), destination: destination(to)},
      ]);
      expect(findings(layout, 'allowRegistries: [a.test]')).toEqual([]);
    },
  );

  it('of a transfer are those of its project and its donor', () => {
    const transfer = transferPlan(transferFacts({repositories: [repository('', {v1: ONE})]}));
    expect(findings(transfer, 'allowRegistries: [nowhere.test]')).toHaveLength(1);
  });
});

describe('requireSignature', () => {
  const LINE = 'requireSignature: true';
  const cosignTag = `sha256-${hexOf(ONE.descriptor.digest)}`;
  const artifact = (mediaType: string, config: Partial<Descriptor> = {}): Manifest =>
    manifest({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: layer('config', {mediaType: 'application/vnd.oci.empty.v1+json', ...config}),
      layers: [layer(mediaType, {mediaType})],
      subject: ONE.descriptor,
    });
  const NOT_SIGNED = ['POLICY_SIGNATURE b.test:5000/app:v1'];

  it('names each image without one', () => {
    expect(findings(planOf({v1: ONE, v2: TWO}), LINE)).toEqual([
      ...NOT_SIGNED,
      'POLICY_SIGNATURE b.test:5000/app:v2',
    ]);
    expect(findings(planOf({v1: ONE}), 'requireSignature: false')).toEqual([]);
  });

  it("accepts cosign's tag, and does not ask for a signature of it", () => {
    expect(findings(planOf({v1: ONE, [`${cosignTag}.sig`]: TWO}), LINE)).toEqual([]);
    expect(findings(planOf({v1: ONE, [`${cosignTag}.sbom`]: TWO}), LINE)).toEqual(NOT_SIGNED);
  });

  it('accepts a signature that is at the destination already', () => {
    const tag = `${cosignTag}.sig`;
    const there = {[tag]: TWO.descriptor.digest};
    expect(findings(planOf({v1: ONE, [tag]: TWO}, [], there), LINE)).toEqual([]);
  });

  it.each([
    ['cosign', artifact('application/vnd.dev.cosign.simplesigning.v1+json')],
    ['Sigstore', artifact('application/vnd.dev.sigstore.bundle.v0.3+json')],
    [
      'Notary',
      artifact('application/jose+json', {mediaType: 'application/vnd.cncf.notary.signature'}),
    ],
  ])('accepts a referrer of %s', (_whose, referrer) => {
    expect(findings(planOf({v1: ONE}, [referrer]), LINE)).toEqual([]);
    expect(findings(planOf({v1: ONE, v2: TWO}, [referrer]), LINE)).toEqual([
      'POLICY_SIGNATURE b.test:5000/app:v2',
    ]);
  });

  it('does not accept another referrer', () => {
    const sbom = artifact('application/spdx+json');
    expect(findings(planOf({v1: ONE}, [sbom]), LINE)).toEqual(NOT_SIGNED);
  });
});
