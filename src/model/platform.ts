import {TransshipError} from './error.ts';

/** The platform of an image, as in an index (image-spec image-index.md). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
}

const PART = '[A-Za-z0-9][A-Za-z0-9_.-]{0,31}';
/** `os/architecture[/variant]`, as docker and skopeo write it. */
export const PLATFORM_PATTERN = new RegExp(`^(${PART})/(${PART})(?:/(${PART}))?$`);

/**
 * Reads `os/architecture[/variant]`.
 * @throws TransshipError PLATFORM_INVALID
 */
export function parsePlatform(text: string): Platform {
  const match = PLATFORM_PATTERN.exec(text);
  if (!match) {
    throw new TransshipError('PLATFORM_INVALID', `"${text}" is not a platform`, {
      side: 'local',
      hint: 'write os/architecture or os/architecture/variant, for example linux/arm64',
    });
  }
  const [, os = '', architecture = '', variant] = match;
  return variant === undefined ? {os, architecture} : {os, architecture, variant};
}

export function formatPlatform(platform: Platform): string {
  const {os, architecture, variant} = platform;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** Whether the platforms match. A wish without a variant matches every variant. */
export function platformMatches(wanted: Platform, actual: Platform): boolean {
  return (
    wanted.os === actual.os &&
    wanted.architecture === actual.architecture &&
    (wanted.variant === undefined || wanted.variant === actual.variant)
  );
}

/**
 * BuildKit lists attestations in an index as manifests for the platform unknown/unknown.
 * @see https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
 */
export function isAttestationPlatform(platform: Platform | undefined): boolean {
  return platform?.os === 'unknown' && platform.architecture === 'unknown';
}
