import product from '../../package.json' with {type: 'json'};

/** The version of this program (Semantic Versioning). */
export const VERSION: string = product.version;

/** The project on the web. */
export const HOMEPAGE: string = product.homepage;

/**
 * How requests introduce themselves (RFC 9110, section 10.1.5), so that whoever runs a registry finds out what this
 * client is and which version of it misbehaves.
 */
export const USER_AGENT = `transship/${VERSION} (+${HOMEPAGE})`;
