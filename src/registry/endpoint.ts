import type {HttpClient} from '../http/client.ts';
import {hostnameOf, isLoopback} from '../http/origin.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {DOCKER_HUB} from '../model/reference.ts';

/** Docker Hub's registry has another host than its references. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';

/** The words of a TLS server that was spoken to without TLS: Go, nginx, Apache. */
const WANTS_TLS =
  /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS|speaking plain HTTP to an SSL/i;

/** The URL below which the registry's API is, `…/v2/`; undefined: only asking can tell the scheme. */
export function endpointOf(host: string, plainHttp: boolean): URL | undefined {
  if (host === DOCKER_HUB) return new URL(`https://${DOCKER_HUB_HOST}/v2/`);
  if (plainHttp) return plainEndpointOf(host);
  return isLoopback(hostnameOf(host)) ? undefined : new URL(`https://${host}/v2/`);
}

/** The same without TLS. */
function plainEndpointOf(host: string): URL {
  return new URL(`http://${host}/v2/`);
}

/**
 * Finds out how a registry on this machine is spoken to: without TLS, as docker allows there, unless a TLS server
 * answers.
 * @throws TransshipError CONNECTION_FAILED and others, where neither answers
 */
export async function probeLoopback(
  http: HttpClient,
  host: string,
  side: Side,
  signal: AbortSignal,
): Promise<URL> {
  const plain = plainEndpointOf(host);
  const secure = new URL(`https://${host}/v2/`);
  const base = {method: 'GET', side, signal} as const;
  try {
    const answer = await http.send({...base, url: plain, attempts: 1});
    const {bytes} = await answer.read(4096);
    const wantsTls = answer.status === 400 && WANTS_TLS.test(Buffer.from(bytes).toString());
    return wantsTls ? secure : plain;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof TransshipError) || !isProtocolFailure(error)) throw error;
    return (await answersTls(http, {...base, url: secure, attempts: 1})) ? secure : plain;
  }
}

/** The server hung up, or what it said is not HTTP: as TLS servers do. */
function isProtocolFailure({code}: TransshipError): boolean {
  return code === 'CONNECTION_FAILED' || code === 'RESPONSE_INVALID';
}

/** A certificate that is not accepted is an answer too; the next request reports it. */
async function answersTls(
  http: HttpClient,
  request: Parameters<HttpClient['send']>[0],
): Promise<boolean> {
  try {
    const answer = await http.send(request);
    await answer.discard();
    return true;
  } catch (error) {
    request.signal.throwIfAborted();
    return error instanceof TransshipError && error.code === 'TLS_CERTIFICATE';
  }
}
