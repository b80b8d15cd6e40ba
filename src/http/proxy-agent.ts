/** Loaded only where there is a proxy. */
export {ProxyAgent} from 'undici';
