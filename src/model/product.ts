import product from '../../package.json' with {type: 'json'};

/** The version of this program (Semantic Versioning). */
export const VERSION: string = product.version;

/** The URL of the project. */
export const HOMEPAGE: string = product.homepage;

/**
 * The `User-Agent` of requests (RFC 9110, section 10.1.5), which tells the administrators of a registry which client
 * and version sends them.
 */
export const USER_AGENT = `transship/${VERSION} (+${HOMEPAGE})`;
