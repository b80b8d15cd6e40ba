// Copies one image with the logins of docker and podman: node copy-image.cjs SOURCE DESTINATION
const {homedir} = require('node:os');
const {applyPlan, openSession, planCopy} = require('transship');

async function copyImage(source, destination) {
  const session = openSession({environment: process.env, home: homedir()});
  try {
    const plan = await planCopy(session, {source, destination});
    return await applyPlan(session, plan, {isFresh: true});
  } finally {
    await session.close();
  }
}

copyImage(...process.argv.slice(2)).then(
  ({result, blobs}) => console.log(`${result}: ${blobs.copied} blobs copied`),
  ({code, message, hint}) => console.error(`${message} [${code}]: ${hint}`),
);
