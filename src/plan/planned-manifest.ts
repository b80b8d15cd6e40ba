import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';
import type {PlannedManifest} from '../model/plan.ts';

/** A manifest as plans have it: without its bytes. */
export function plannedManifest(
  {descriptor, view}: SeenManifest,
  cutFrom: PlannedManifest['cutFrom'],
): PlannedManifest {
  const {digest, mediaType, size} = descriptor;
  const subject = view.kind === 'schema1' ? undefined : view.subject?.digest;
  return {
    digest,
    mediaType,
    size,
    manifests: [...new Set(childManifests(view).map((child) => child.digest))],
    blobs: [...new Set(childBlobs(view).map((child) => child.digest))],
    ...(subject === undefined ? {} : {subject}),
    ...(cutFrom === undefined ? {} : {cutFrom}),
  };
}
