import type {CleanupRules, DeleteRules} from '../model/delete-wish.ts';
import {type CopyPlan, type DeleteStep, deletionsOf, type Skip} from '../model/plan.ts';
import {type Digest, shortDigest} from '../model/digest.ts';
import {compareNatural, inTagOrder} from '../plan/compare.ts';
import {
  type Cell,
  code,
  digestCell,
  isLong,
  type ReportDocument,
  type Row,
  type Section,
} from './document.ts';
import {counted, imageName} from './words.ts';

type Fact = readonly [name: string, value: string];

/** What is deleted comes first: nothing else in a plan takes something away. */
export function deleteSection(deletions: readonly DeleteStep[]): Section {
  return {
    heading: 'To delete',
    mark: '-',
    minus: 'deleted',
    columns: ['Image', 'Digest', 'Why'],
    rows: deletions.map((step) => ({
      cells: [
        code(imageName(step.repository, step.tag, step.digest)),
        code(shortDigest(step.digest)),
        whyOf(step),
      ],
    })),
  };
}

function whyOf({verified, digest, why}: DeleteStep): string {
  const [first, ...others] = verified.map((place) => imageName(place.to, place.tag, digest));
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return first === undefined ? why : `${why}: ${first}${more}`;
}

/** The repositories of a plan that deletes by rules, and the rules where all of them have the same. */
export function deletionFacts({wish: {deletes = []}}: CopyPlan): readonly Fact[] {
  const [first] = deletes;
  if (first === undefined) return [];
  const places: readonly Fact[] =
    deletes.length === 1
      ? [['repository', first.repository]]
      : [['repositories', String(deletes.length)]];
  const rules = new Map<string, readonly Fact[]>();
  for (const wish of deletes) {
    const facts = 'rules' in wish ? ruleFacts(wish.rules) : [policyFact(wish.policy)];
    rules.set(JSON.stringify(facts), facts);
  }
  return [...places, ...[...rules.values()].flat()];
}

function ruleFacts(rules: DeleteRules): readonly Fact[] {
  const flags: readonly (readonly [string, string | number | readonly string[] | undefined])[] = [
    ['--tag', rules.tags],
    ['--exclude-tag', rules.excludeTags],
    ['--semver', rules.semver],
    ['--older-than', rules.olderThan],
    ['--keep-newest', rules.keepNewest],
    ['--keep', rules.keep],
  ];
  return flags.flatMap(([flag, value]): Fact[] =>
    value === undefined
      ? []
      : [[flag, typeof value === 'object' ? value.join(', ') : String(value)]],
  );
}

function policyFact(policy: CleanupRules): Fact {
  const {project, enabled, nameRegex, nameRegexKeep, keepN, olderThan} = policy;
  const rules = [
    `name_regex ${JSON.stringify(nameRegex)}`,
    ...(nameRegexKeep === undefined ? [] : [`name_regex_keep ${JSON.stringify(nameRegexKeep)}`]),
    ...(keepN === undefined ? [] : [`keep_n ${keepN}`]),
    ...(olderThan === undefined ? [] : [`older than ${olderThan.slice(0, 10)}`]),
  ];
  return ['policy', `${project}, ${enabled ? 'enabled' : 'disabled'}: ${rules.join(', ')}`];
}

/** What goes and what stays in one repository. */
interface RepositoryTags {
  readonly repository: string;
  readonly going: readonly DeleteStep[];
  readonly staying: readonly Exclude<Skip, {reason: 'present'}>[];
}

/**
 * A line for each repository of a plan that deletes in several, and, where there are more tags than fit on a page, what
 * goes and what stays in each, with the reasons, as the details of a document.
 */
export function deletionReview(
  plan: CopyPlan,
): Pick<ReportDocument, 'sections' | 'details'> | undefined {
  if ((plan.wish.deletes ?? []).length < 2) return undefined;
  const repositories = byRepository(plan);
  const rows = repositories.flatMap(({going, staying}) => [...going, ...staying]);
  return {
    sections: [
      {
        heading: 'Repositories',
        mark: '-',
        minus: 'deleted',
        columns: ['Repository', 'Goes', 'Stays'],
        rows: repositories.map(({repository, going, staying}) => ({
          mark: going.length === 0 ? '=' : '-',
          cells: [code(repository), `${going.length} to delete`, stayingText(staying)],
        })),
        isWhole: true,
      },
    ],
    ...(isLong(rows)
      ? {details: {noun: 'tag', sections: repositories.flatMap(repositoryDetails)}}
      : {}),
  };
}

function byRepository({wish, ...plan}: CopyPlan): readonly RepositoryTags[] {
  const going = Map.groupBy(deletionsOf(plan), ({repository}) => repository);
  const staying = Map.groupBy(
    plan.skipped.filter((skip) => skip.reason !== 'present'),
    ({from}) => from,
  );
  return (wish.deletes ?? [])
    .map(({repository}) => ({
      repository,
      going: inTagOrder(going.get(repository) ?? [], ({tag}) => tag),
      staying: inTagOrder(staying.get(repository) ?? [], ({tag}) => tag),
    }))
    .sort((a, b) => compareNatural(a.repository, b.repository));
}

/** `12 (--keep v*: 8, does not match: 4)`. */
function stayingText(staying: RepositoryTags['staying']): string {
  const reasons = Map.groupBy(staying, ({detail}) => detail.replace(/:? of \d{4}-.*$/, ''));
  const texts = [...reasons]
    .sort(([, a], [, b]) => b.length - a.length)
    .slice(0, 3)
    .map(([reason, {length}]) => `${length} ${reason}`);
  return staying.length === 0 ? 'nothing stays' : `${staying.length} stay: ${texts.join('; ')}`;
}

function repositoryDetails({repository, going, staying}: RepositoryTags): readonly Section[] {
  const rows = [
    ...going.map((step) => tagRow('-', step.tag, step.digest, `deleted: ${whyOf(step)}`)),
    ...staying.map(({tag, digest, detail}) => tagRow('=', tag, digest, `stays: ${detail}`)),
  ];
  if (rows.length === 0) return [];
  return [
    {
      heading: code(repository),
      note: `${counted(going.length, 'tag')} to delete, ${staying.length} stay`,
      mark: '-',
      minus: 'deleted',
      columns: ['Tag', 'Digest', 'What'],
      rows,
      isDetail: true,
    },
  ];
}

function tagRow(
  mark: '-' | '=',
  tag: string | undefined,
  digest: Digest | undefined,
  what: string,
): Row {
  return {mark, cells: [tagCell(tag), digest === undefined ? '' : digestCell(digest), what]};
}

function tagCell(tag: string | undefined): Cell {
  return tag === undefined ? 'no tag' : code(tag);
}
