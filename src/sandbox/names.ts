import type {Digest, DigestAlgorithm} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';

// The grammar of distribution's `reference` package (reference/regexp.go), which GitLab's registry uses as well. It is
// written out here so that the sandbox does not share a mistake with the client that is tested against it.

const SEPARATOR = '(?:[._]|__|-+)';
const COMPONENT = `[a-z0-9]+(?:${SEPARATOR}[a-z0-9]+)*`;
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
/** reference/reference.go, `RepositoryNameTotalLengthMax`. */
const REPOSITORY_LENGTH = 255;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** Lower-case hexadecimal digits by algorithm (opencontainers/go-digest, `anchoredEncodedRegexps`). */
const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = {sha256: 64, sha512: 128};

export function isRepositoryPath(text: string): text is RepositoryPath {
  return text.length <= REPOSITORY_LENGTH && REPOSITORY.test(text);
}

export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

export function isDigest(text: string): text is Digest {
  const {algorithm, hex} = splitDigest(text);
  return hex.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(hex);
}

/** The two parts of a digest, or of what may be one. */
export function splitDigest(text: string): {algorithm: DigestAlgorithm; hex: string} {
  const algorithm = text.startsWith('sha512:') ? 'sha512' : 'sha256';
  return {algorithm, hex: text.startsWith(`${algorithm}:`) ? text.slice(7) : ''};
}
