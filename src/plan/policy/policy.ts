import {parsePlatform, type Platform, PLATFORM_PATTERN} from '../../model/platform.ts';
import {z} from '../../model/schema.ts';
import {parseByteSize} from '../byte-size.ts';
import {fileInvalid, flatIssues, placedProblem, partAt} from '../migration/problem-texts.ts';
import {parseRegistry, splitHost, whyNotHost} from '../migration/registry-path.ts';
import {knownKeys} from '../migration/schema.ts';
import {type PlacedProblem, readYaml} from '../migration/yaml-source.ts';

/** Limits for plans. A field that is absent sets no limit. */
export interface Policy {
  /** The name of the file, for messages. */
  readonly file: string;
  /** The maximum bytes that are sent. */
  readonly maxBytes?: number;
  /** The maximum number of tags that are deleted. */
  readonly maxDeletes?: number;
  /** The maximum number of images and artifacts that are copied. */
  readonly maxImages?: number;
  /** Patterns of registries: `host[:port]`, or `*.domain[:port]` for the hosts below a domain. */
  readonly allowRegistries?: readonly string[];
  readonly denyRegistries?: readonly string[];
  readonly requireSignature: boolean;
  /** Platforms that every copied image must have, at least one. */
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
    version: z.literal(1).describe('The version of the file format.'),
    maxBytes: z
      .union([
        z.int().min(0),
        z.string().refine((text) => parseByteSize(text) !== undefined, {
          error: 'write a size such as 500GiB',
        }),
      ])
      .describe('The maximum bytes that a plan sends, with an optional unit (KiB, MiB, GiB, TiB).')
      .optional(),
    maxDeletes: limit(
      'The maximum number of tags that a plan deletes. Tags that a transfer pushes to the new path do not count.',
    ).optional(),
    maxImages: limit('The maximum number of images and artifacts that a plan copies.').optional(),
    allowRegistries: registries('Images come from and go to these registries only.').optional(),
    denyRegistries: registries('No image comes from or goes to these registries.').optional(),
    requireSignature: z
      .boolean()
      .describe(
        'Every copied image must have a signature by cosign or Notary that is copied or already at the destination. It is not verified. Default: false.',
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
        'Every copied image must be for all of these platforms. Planning then also reads the configs of images without an index.',
      )
      .optional(),
  })
  .describe('Limits that plans must comply with.');

/** The JSON Schema of policies (draft 2020-12), as published in `plans/policy.schema.json`. */
export function policyJsonSchema(): object {
  const {$schema, ...schema} = z.toJSONSchema(policySchema);
  return {$schema, title: 'transship policy', ...schema};
}

/**
 * Reads a policy.
 * @param file the name of the file, for messages
 * @throws TransshipError POLICY_INVALID with all problems, in file order
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
  const problems = [...source.problems, ...issues.map((issue) => placedProblem(issue, source))];
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

/** Whether a pattern matches this registry. */
export function matchesRegistry(pattern: string, registry: string): boolean {
  return pattern.startsWith(SUBDOMAINS)
    ? registry.endsWith(pattern.slice(1))
    : registry === pattern;
}

/** Why a text is not a pattern, as a clause; undefined: it is valid. */
function whyNotPattern(pattern: string): string | undefined {
  const expected = 'write host[:port] or *.domain[:port], without a path';
  if (pattern.startsWith(SUBDOMAINS)) return DOMAIN.test(pattern) ? undefined : expected;
  // A name that docker reads as the first part of a path would be a repository of Docker Hub.
  return splitHost(`${pattern}/x`).host === pattern ? whyNotHost(pattern) : expected;
}

/** Docker Hub has several names; patterns for domains have only one. */
function canonical(pattern: string): string {
  return pattern.startsWith(SUBDOMAINS) ? pattern.toLowerCase() : parseRegistry(pattern);
}
