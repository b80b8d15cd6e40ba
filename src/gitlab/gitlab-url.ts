import {hostnameOf, isLoopback} from '../http/origin.ts';
import {TransshipError} from '../model/error.ts';

/**
 * Reads the address of a GitLab instance: a host alone means https, a path is kept (relative URL installations), and
 * the `/api/v4` that `CI_API_V4_URL` ends in is dropped. Loopback hosts may be spoken to without TLS.
 * @throws TransshipError USAGE
 */
export function parseGitLabUrl(text: string): URL {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `https://${text}`);
  if (!url || url.hostname === '') {
    throw usage('the address of GitLab is not a URL', 'write https://gitlab.example.com');
  }
  if (url.username !== '' || url.password !== '') {
    throw usage(
      `the address of GitLab at ${url.host} holds a user name or a password`,
      'leave them out and give a token',
    );
  }
  if (url.protocol === 'http:' && !isLoopback(hostnameOf(url.host))) {
    throw usage(`${url.origin} would get the token without TLS`, 'write https:// in its place');
  }
  url.search = '';
  url.hash = '';
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/\/api\/v4$/, '');
  return url;
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
