import {TransshipError} from '../../model/error.ts';
import type {ErrorCode} from '../../model/error-codes.ts';
import type {ProjectMove, TransferStep} from '../../model/transfer-plan.ts';
import {DONE, PRESENT, type StepEnd, type TransferRun} from './transfer-run.ts';
import {locateProject} from './locate.ts';

/** Refusals that concern images in the registry. */
const BECAUSE_OF_IMAGES: ReadonlySet<string> = new Set<ErrorCode>([
  'TRANSFER_TAGS_PRESENT',
  'REGISTRY_RENAME_UNSUPPORTED',
  'PATH_CHANGE_REFUSED',
]);

type ChangePath = Extract<TransferStep, {kind: 'change-path'}>;

/**
 * Moves the project. The response is not trusted: the project is read again by its ID.
 * @throws TransshipError the errors of `Projects.transfer` and `Projects.changePath`
 */
export async function changePath(
  move: ProjectMove,
  {namespaceId, path}: ChangePath,
  {context, call, progress, group}: TransferRun,
): Promise<StepEnd> {
  const {projects} = context.gitlab;
  const {id} = move.project;
  let project = await projects.get(id, call);
  const isMoved = namespaceId === undefined || project.namespace.id === namespaceId;
  const isNamed = path === undefined || project.path === path;
  try {
    if (!isMoved) project = await projects.transfer(id, namespaceId, call);
    if (!isNamed) project = await projects.changePath(id, path, call);
  } catch (error) {
    throw error instanceof TransshipError ? explained(error, move.way) : error;
  }
  progress.where = await locateProject(move, group, context, call);
  if (progress.where === 'before') {
    throw new TransshipError('CHANGE_NOT_SEEN', `project ${id} is still ${project.fullPath}`, {
      side: 'gitlab',
      hint: 'GitLab reported success but did not move it; check the project in GitLab, then apply again',
      retry: true,
    });
  }
  return isMoved && isNamed ? PRESENT : DONE;
}

/**
 * Whether GitLab refuses because of images in the registry, in a known message or another one that mentions them. Only
 * the text after the request is searched, because the URL may contain such words as well.
 */
export function isAboutImages({
  code,
  message,
}: {
  readonly code: string;
  readonly message: string;
}): boolean {
  if (BECAUSE_OF_IMAGES.has(code)) return true;
  const words = message.slice(message.indexOf('GitLab answered'));
  return code === ('GITLAB_REFUSED' satisfies ErrorCode) && /\b(?:registry|images?)\b/i.test(words);
}

/** The refusal with a hint, which depends on how the plan moves the images. */
function explained(error: TransshipError, way: ProjectMove['way']): TransshipError {
  const {code, message, side, retry, status, cause} = error;
  // An unknown message may be about images, too.
  const isUnclear = way === 'native' && code === 'GITLAB_REFUSED';
  if (!BECAUSE_OF_IMAGES.has(code) && !isUnclear) return error;
  return new TransshipError(code, message, {
    side,
    hint: isUnclear ? UNCLEAR : NEXT[way],
    retry,
    cause,
    ...(status === undefined ? {} : {status}),
  });
}

const UNCLEAR =
  'see the response of GitLab in the message; if it concerns images or the registry, plan again with --staged, which moves them by way of a donor';

const NEXT: Readonly<Record<ProjectMove['way'], string>> = {
  native:
    'GitLab does not move these images itself, and nothing was changed: plan again with --staged, which moves them by way of a donor',
  staged:
    'GitLab still finds images at the old path: apply again to see which, or roll back to restore the others',
  empty: 'images were pushed after planning: plan again',
};
