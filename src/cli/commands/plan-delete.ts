import type {Command} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {parsePlace} from '../../model/place.ts';
import type {CopyPlan, DeleteRules} from '../../model/plan.ts';
import {formatRepository, parseReference} from '../../model/reference.ts';
import type {Tag} from '../../model/reference.ts';
import type {Digest} from '../../model/digest.ts';
import {observeSource} from '../../observe/observe-source.ts';
import {observeTagged} from '../../observe/observe-tagged.ts';
import {parseAge, timeOf} from '../../plan/age.ts';
import {attachmentSubject} from '../../plan/candidate.ts';
import {makeCopyPlan} from '../../plan/copy-plan.ts';
import {chosenByRules} from '../../plan/delete-rules.ts';
import {tagSelector} from '../../plan/filters.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, collect, type HostFlags, wholeNumber} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {type Session, withSession} from '../session.ts';

interface Flags extends HostFlags, MakeFlags {
  readonly tag?: readonly string[];
  readonly excludeTag?: readonly string[];
  readonly semver?: string;
  readonly keep?: readonly string[];
  readonly keepNewest?: number;
  readonly olderThan?: string;
  readonly progress: ProgressKind;
}

/** `transship plan delete`: decides which tags of a repository go, and deletes nothing. */
export function addPlanDelete(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('delete')
    .summary('plan the deletion of tags by rules')
    .description(
      'Lists the tags that the rules select with their age, size and digest, and what stays and why. Deletes nothing.',
    )
    .argument('<repository>', 'host/repository')
    .option('--tag <glob>', 'only tags that match (repeatable)', collect)
    .option('--exclude-tag <glob>', 'no tags that match (repeatable)', collect)
    .option('--semver <range>', 'only tags that are versions in this range')
    .option('--older-than <age>', 'only tags older than 12h, 30d, 2w or a date')
    .option('--keep-newest <n>', 'keep the n newest of the selected tags', wholeNumber)
    .option(
      '--keep <glob>',
      'keep tags that match, whatever else selects them (repeatable)',
      collect,
    )
    .addHelpText(
      'after',
      `
Ages are those of the push where the registry knows them (GitLab with metadata database), else those of the image.

Examples:
  transship plan delete gitlab.example.com:5050/group/app --tag 'dev-*' --older-than 30d --keep-newest 10 --keep 'v*' --out clean.plan.json
  transship apply clean.plan.json --max-deletes 100`,
    );
  addMakeFlags(addProgressFlag(addHostFlags(command)));
  command.action(async (repository: string, flags: Flags) => {
    const rules = readRules(flags, io.now());
    const name = repositoryName(repository);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const made = await withSession(io, flags, (session) => deletionPlan(name, rules, session));
    done(await givePlan(made, flags, io));
  });
}

async function deletionPlan(name: string, rules: DeleteRules, session: Session): Promise<CopyPlan> {
  const {places, report, reading: call} = session;
  const repository = places.writable(name, 'destination');
  const deletion = (await repository.tagDeletion?.(call)) ?? 'digest';
  const times = deletion === 'alone' ? await pushTimes(name, session) : undefined;
  const needsTimes = rules.keepNewest !== undefined || rules.olderThan !== undefined;
  const inventory = await observeSource(
    repository,
    {
      select: tagSelector({
        ...(rules.tags === undefined ? {} : {tags: rules.tags}),
        ...(rules.excludeTags === undefined ? {} : {excludeTags: rules.excludeTags}),
        ...(rules.semver === undefined ? {} : {semver: rules.semver}),
      }),
      attachmentSubject,
      known: () => Promise.resolve(new Map()),
      configs: needsTimes && times === undefined,
      progress: (done, total) => report({type: 'observing', what: name, done, total}),
    },
    call,
  );
  const content = await observeTagged(repository, deletion, inventory.manifests, call);
  const timeFor = (tag: string, digest: Digest): number | undefined => {
    if (times !== undefined) return times.get(tag);
    const created = timeOf(digest, inventory.created);
    return Number.isFinite(created) ? created : undefined;
  };
  const {wanted, skipped} = chosenByRules({rules, inventory, content, timeOf: timeFor});
  return makeCopyPlan({
    wish: {routes: [], deletes: [{repository: name, rules}]},
    routes: [],
    findings: {checks: [], skipped},
    deletions: {wanted, contents: new Map([[name, content]])},
  });
}

/** Undefined: this registry does not know, or does not tell this login. */
async function pushTimes(
  name: string,
  {places, reading}: Session,
): Promise<ReadonlyMap<string, number> | undefined> {
  const {registry, path} = parseReference(name);
  try {
    return await places.registry(registry, 'destination').tagTimes(path, reading);
  } catch (error) {
    reading.signal.throwIfAborted();
    if (error instanceof TransshipError && error.status !== undefined) return undefined;
    throw error;
  }
}

/** @throws TransshipError USAGE where nothing chooses, FILTER_INVALID */
function readRules(flags: Flags, now: Date): DeleteRules {
  const {tag, excludeTag, semver, keep, keepNewest, olderThan} = flags;
  const isChosen = [tag, excludeTag, semver, keepNewest, olderThan].some(
    (rule) => rule !== undefined,
  );
  if (!isChosen) {
    throw new TransshipError('USAGE', 'no rule selects the tags that are to be deleted', {
      side: 'local',
      hint: "add --tag, --semver, --older-than or --keep-newest; for all tags, --tag '*'",
    });
  }
  return {
    ...(tag === undefined ? {} : {tags: tag}),
    ...(excludeTag === undefined ? {} : {excludeTags: excludeTag}),
    ...(semver === undefined ? {} : {semver}),
    ...(keep === undefined ? {} : {keep}),
    ...(keepNewest === undefined ? {} : {keepNewest}),
    ...(olderThan === undefined ? {} : {olderThan: parseAge(olderThan, now, '--older-than')}),
  };
}

/** `host/path`. @throws TransshipError USAGE where it is no repository of a registry */
function repositoryName(text: string): string {
  const place = parsePlace(text);
  const reference = place.transport === 'docker' ? place.reference : undefined;
  const {tag, digest}: {readonly tag?: Tag | undefined; readonly digest?: Digest | undefined} =
    reference ?? {};
  if (reference !== undefined && tag === undefined && digest === undefined)
    return formatRepository(reference);
  throw new TransshipError('USAGE', `${text} is not a repository of a registry`, {
    side: 'local',
    hint: 'write host/repository, and select tags with --tag',
  });
}
