import {parsePlatform, type Platform, PLATFORM_PATTERN} from '../../model/platform.ts';
import {z} from '../../model/schema.ts';
import {parseByteSize} from '../byte-size.ts';
import {fileInvalid, flatIssues, placed, partAt} from '../migration/problem-texts.ts';
import {parseRegistry, splitHost, whyNotHost} from '../migration/registry-path.ts';
import {knownKeys} from '../migration/schema.ts';
import {type PlacedProblem, readYaml} from '../migration/yaml-source.ts';

/** Limits that plans must keep to. What is absent is not limited. */
export interface Policy {
  /** The name of the file, for messages. */
  readonly file: string;
  /** Bytes that are sent. */
  readonly maxBytes?: number;
  /** Tags that are deleted. */
  readonly maxDeletes?: number;
  /** Images and artifacts that are copied. */
  readonly maxImages?: number;
  /** Patterns of registries: `host[:port]`, or `*.domain[:port]` for the hosts below a domain. */
  readonly allowRegistries?: readonly string[];
  readonly denyRegistries?: readonly string[];
  readonly requireSignature: boolean;
  /** Every image that is copied has all of these. At least one. */
  readonly requirePlatforms?: readonly Platform[];
}

const LIST_LIMIT = 1000;
const SUBDOMAINS = '*.';
const DOMAIN = /^\*(?:\.[a-z0-9-]+)+(?::\d{1,5})?$/i;

const registries = (description: string) =>
  z
    .array(
      z
        .string()
        .superRefine((pattern, context) => {
          const message = whyNotPattern(pattern);
          if (message !== undefined) context.addIssue({code: 'custom', message});
        })
        .describe('host[:port], or *.domain[:port] for all hosts below the domain.'),
    )
    .min(1, 'the list is empty')
    .max(LIST_LIMIT)
    .describe(description);

const limit = (description: string) => z.int().min(0).describe(description);

const policySchema = z
  .strictObject({
    version: z.literal(1).describe('The version of the language.'),
    maxBytes: z
      .union([
        z.int().min(0),
        z.string().refine((text) => parseByteSize(text) !== undefined, {
          error: 'write a size such as 500GiB',
        }),
      ])
      .describe('The most bytes that one plan sends, with a unit (KiB, MiB, GiB, TiB) or without.')
      .optional(),
    maxDeletes: limit(
      'The most tags that one plan deletes. Tags that a transfer puts back at the new path do not count.',
    ).optional(),
    maxImages: limit('The most images and artifacts that one plan copies.').optional(),
    allowRegistries: registries('Images come from and go to these registries only.').optional(),
    denyRegistries: registries('No image comes from or goes to these registries.').optional(),
    requireSignature: z
      .boolean()
      .describe(
        'Every image that is copied must have a signature that is copied, or is there already: of cosign or Notary. It is not verified. Default: false.',
      )
      .optional(),
    requirePlatforms: z
      .array(
        z
          .string()
          .regex(PLATFORM_PATTERN, 'write os/architecture[/variant], such as linux/arm64')
          .describe('os/architecture[/variant]; without a variant, any variant counts.'),
      )
      .min(1, 'the list is empty')
      .max(LIST_LIMIT)
      .describe(
        'Every image that is copied must be for all of these platforms. Planning then also reads the configs of images that are no index.',
      )
      .optional(),
  })
  .describe('Limits that a plan must keep to.');

/** The JSON Schema of policies (draft 2020-12), as it is published in `plans/policy.schema.json`. */
export function policyJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(policySchema);
  return {$schema, title: 'transship policy', ...schema};
}

/**
 * Reads a policy.
 * @param file its name, for messages
 * @throws TransshipError POLICY_INVALID with all problems, in the order of the file
 */
export function readPolicy(text: string, file: string): Policy {
  const source = readYaml(text);
  const invalid = (problems: readonly PlacedProblem[]) =>
    fileInvalid(
      'POLICY_INVALID',
      file,
      problems,
      'correct each line that is listed; docs/policy.md describes the keys',
    );
  if (source.value === undefined) throw invalid(source.problems);
  const parsed = policySchema.safeParse(source.value);
  const issues = flatIssues(
    parsed.error?.issues ?? [],
    (path) => partAt(source.value, path),
    (path) => knownKeys(policySchema, path),
  );
  const problems = [...source.problems, ...issues.map((issue) => placed(issue, source))];
  if (problems.length > 0 || !parsed.success) throw invalid(problems);
  const {maxBytes, maxDeletes, maxImages, requireSignature = false, ...lists} = parsed.data;
  const {allowRegistries, denyRegistries, requirePlatforms} = lists;
  const bytes = typeof maxBytes === 'string' ? parseByteSize(maxBytes) : maxBytes;
  return {
    file,
    ...(bytes === undefined ? {} : {maxBytes: bytes}),
    ...(maxDeletes === undefined ? {} : {maxDeletes}),
    ...(maxImages === undefined ? {} : {maxImages}),
    ...(allowRegistries === undefined ? {} : {allowRegistries: allowRegistries.map(canonical)}),
    ...(denyRegistries === undefined ? {} : {denyRegistries: denyRegistries.map(canonical)}),
    requireSignature,
    ...(requirePlatforms === undefined
      ? {}
      : {requirePlatforms: requirePlatforms.map(parsePlatform)}),
  };
}

/** Whether a pattern names this registry. */
export function matchesRegistry(pattern: string, registry: string): boolean {
  return pattern.startsWith(SUBDOMAINS)
    ? registry.endsWith(pattern.slice(1))
    : registry === pattern;
}

/** Why a text is no pattern, as a clause; undefined: it is one. */
function whyNotPattern(pattern: string): string | undefined {
  const expected = 'write host[:port] or *.domain[:port], without a path';
  if (pattern.startsWith(SUBDOMAINS)) return DOMAIN.test(pattern) ? undefined : expected;
  // What docker takes for the first part of a path would be a repository of Docker Hub.
  return splitHost(`${pattern}/x`).host === pattern ? whyNotHost(pattern) : expected;
}

/** Docker Hub has several names; below a domain there is no such thing. */
function canonical(pattern: string): string {
  return pattern.startsWith(SUBDOMAINS) ? pattern.toLowerCase() : parseRegistry(pattern);
}
